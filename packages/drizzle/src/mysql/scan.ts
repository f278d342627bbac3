import type { FetchRequest, Lease } from '@outbox/core'
import { aggregateKey, groupedBy, inTurns, type Standing } from '@outbox/core/adapter'
import { now } from './content.ts'
import { type AggregateName, nameIn } from './found.ts'
import { by, byKey, forEachPartition, inOrder } from './indexes.ts'
import { numberList } from './literals.ts'
import type { Names } from './names.ts'
import { booleanIn, numberIn, numberOrNullIn } from './rows.ts'
import type { Session } from './session.ts'
import { rowIn, rowOf, type Seen, windows } from './windows.ts'

/**
 * An aggregate that has something due, or seems to: what is lent of it is read later. It stands where its oldest entry
 * was seen.
 */
export interface Candidate extends AggregateName, Standing {}

/** An entry that the scan has met. */
export type Met = AggregateName & Pick<Seen, 'partition' | 'position' | 'row'>

/** What a scan has come to. */
export interface Scanned {
  readonly met: readonly Met[]
  /** those of them that were read whole */
  readonly seen: readonly Seen[]
  /** partitions whose scanned range hardly any aggregates fill */
  readonly crowded: ReadonlySet<number>
}

/**
 * How deep a scan reads. A window is the front of a partition's range; where a few aggregates fill it, another, deeper
 * one is read, of a few partitions each time, and what fills it is parked so that it never fills it again.
 */
const depths = Object.freeze({
  smallestWindow: 16,
  /** fewer aggregates than that in a full window mean that others may stand behind them */
  crowdedBelow: 4,
  crowdedPartitions: 2,
  deepWindow: 2000,
})

function windowFor(request: FetchRequest, leases: readonly Lease[]): number {
  return Math.max(depths.smallestWindow, Math.ceil(request.limit / leases.length))
}

/**
 * Reads a window of each partition. Where one is full there may be more behind it: such windows get their share of what
 * the batch still wants, read anew from their fronts; a few of those that hardly any aggregates fill are looked through
 * much deeper, for others that stand behind.
 */
export async function scan(
  session: Session,
  names: Names,
  request: FetchRequest,
  leases: readonly Lease[],
): Promise<Scanned> {
  const depth = windowFor(request, leases)
  const front = await windows(
    session,
    names,
    request,
    leases.map(({ partition }) => ({ partition, depth })),
  )
  const full = fullOnes(front, depth)
  const open = front.filter(({ row }) => row === 'none').length
  // half a batch is better than what is in it read twice
  const share = 2 * open >= request.limit ? 0 : Math.floor((request.limit - open) / Math.max(full.length, 1))
  const wider = full.map(({ partition }) => ({ partition, depth: depth + share }))
  if (share === 0 || wider.length === 0) return behind(session, names, request, front, full)
  const seen = await windows(session, names, request, wider)
  const others = front.filter(({ partition }) => !full.some((one) => one.partition === partition))
  return behind(session, names, request, [...others, ...seen], fullOnes(seen, depth + share))
}

/** A window that holds as much as it may. */
interface Full {
  readonly partition: number
  readonly lastPosition: number
  /** aggregates in it that no row stands for */
  readonly open: number
}

function fullOnes(seen: readonly Seen[], depth: number): readonly Full[] {
  return [...groupedBy(seen, ({ partition }) => partition)].flatMap(([partition, entries]) => {
    if (entries.length < depth) return []
    const open = new Set(entries.filter(({ row }) => row === 'none').map(aggregateKey)).size
    return [{ partition, lastPosition: entries.at(-1)?.position ?? 0, open }]
  })
}

async function behind(
  session: Session,
  names: Names,
  request: FetchRequest,
  seen: readonly Seen[],
  full: readonly Full[],
): Promise<Scanned> {
  // in another order each time, so that each of many has its turn
  const crowded = full
    .filter(({ open }) => open < depths.crowdedBelow)
    .map((one) => ({ ...one, turn: Math.random() }))
    .sort((a, b) => a.turn - b.turn)
    .slice(0, depths.crowdedPartitions)
  const deep = crowded.length === 0 ? [] : await lookDeep(session, names, request, crowded)
  return { met: [...seen, ...deep], seen, crowded: new Set(crowded.map(({ partition }) => partition)) }
}

/** Plan: for each partition one range of the index of the scan, and the name of each entry by its key. */
async function lookDeep(
  session: Session,
  names: Names,
  request: FetchRequest,
  crowded: readonly Full[],
): Promise<readonly Met[]> {
  const { entries, aggregates } = names
  const after = new Map(crowded.map(({ partition, lastPosition }) => [partition, lastPosition]))
  const ranges = forEachPartition(
    [...after.keys()],
    (
      partition,
    ) => `select \`partition\`, position, aggregate_type, aggregate_id from ${entries} ${by(names, 'entries_scan')}
      where \`partition\` = ${partition} and state = 'pending' and place = 'scanned' and position > ${after.get(partition)}
      order by position limit ${depths.deepWindow}`,
  )
  const rows = await session.read(
    `select met.*, ${rowOf('a')} as represented
    from (${ranges}) met
    left join ${aggregates} a ${byKey} on a.aggregate_type = met.aggregate_type and a.aggregate_id = met.aggregate_id
    order by met.\`partition\`, met.position`,
    request,
  )
  return rows.map((row) => ({
    ...nameIn(row),
    partition: numberIn(row, 'partition'),
    position: numberIn(row, 'position'),
    row: rowIn(row),
  }))
}

/** The row of an aggregate whose time has come. */
export interface Returning extends AggregateName {
  readonly partition: number
  /** of its lowest pending entry; null: it has none */
  readonly position: number | null
  /** entries that only this row stands for */
  readonly hasParked: boolean
  readonly parkings: number
  /** when it fell due, microseconds since 1970: with `parkings` it tells this row from a later one of its name */
  readonly dueSince: number
}

/**
 * Plan: for each partition the front of a range of the index of aggregates that are due: as much as may be lent, however
 * many there are. A row that never parked anything is not asked whether it has.
 */
export async function returning(
  session: Session,
  names: Names,
  request: FetchRequest,
  leases: readonly Lease[],
): Promise<readonly Returning[]> {
  if (leases.length === 0) return []
  const { entries, aggregates } = names
  const fronts = forEachPartition(
    leases.map(({ partition }) => partition),
    (partition) => `select \`partition\`, aggregate_type, aggregate_id, waiting_until, parkings
      from ${aggregates} ${by(names, 'aggregates_due')}
      where \`partition\` = ${partition} and blockers = 0 and waiting_until <= ${now}
      order by waiting_until limit ${2 * windowFor(request, leases)}`,
  )
  const pending = `from ${entries} e ${by(names, 'entries_order')}
        where e.aggregate_type = due.aggregate_type and e.aggregate_id = due.aggregate_id and e.state = 'pending'`
  const rows = await session.read(
    `select due.\`partition\`, due.aggregate_type, due.aggregate_id, due.parkings,
      timestampdiff(microsecond, '1970-01-01', due.waiting_until) as due_since,
      (select e.position ${pending} ${inOrder('e')}) as position,
      due.parkings > 0 and exists (select 1 ${pending} and e.place = 'parked') as has_parked
    from (${fronts}) due`,
    request,
  )
  return rows.map((row) => ({
    ...nameIn(row),
    partition: numberIn(row, 'partition'),
    position: numberOrNullIn(row, 'position'),
    hasParked: booleanIn(row, 'has_parked'),
    parkings: numberIn(row, 'parkings'),
    dueSince: numberIn(row, 'due_since'),
  }))
}

/**
 * What a relay may have died of: the oldest entry of those that is the head of its aggregate, if the aggregate is due.
 * Plan: the range of suspects of each partition, nearly always empty.
 */
export async function oldestSuspect(
  session: Session,
  names: Names,
  request: FetchRequest,
  leases: readonly Lease[],
): Promise<Candidate | undefined> {
  if (leases.length === 0) return undefined
  const { entries, aggregates } = names
  const [row] = await session.read(
    `select e.\`partition\`, e.position, e.aggregate_type, e.aggregate_id
    from ${entries} e ${by(names, 'entries_scan')}
    left join ${aggregates} a ${byKey} on a.aggregate_type = e.aggregate_type and a.aggregate_id = e.aggregate_id
    where e.\`partition\` in ${numberList(leases.map(({ partition }) => partition))}
      and e.state = 'pending' and e.place = 'suspect'
      and (a.aggregate_type is null or (a.blockers = 0 and a.waiting_until <= ${now}))
      and e.sequence = (
        select head.sequence from ${entries} head ${by(names, 'entries_order')}
        where head.aggregate_type = e.aggregate_type and head.aggregate_id = e.aggregate_id and head.state = 'pending'
        ${inOrder('head')})
    order by e.position
    limit 1`,
    request,
  )
  return row && { ...nameIn(row), partition: numberIn(row, 'partition'), position: numberIn(row, 'position') }
}

/**
 * Both kinds of candidates, the oldest first in each partition, then the partitions in turn: neither a kind nor a
 * partition keeps the others out.
 */
export function candidatesFrom(
  met: readonly Met[],
  represented: readonly Returning[],
  limit: number,
): readonly Candidate[] {
  const open = new Map<string, Candidate>()
  for (const one of met) if (one.row === 'none' && !open.has(aggregateKey(one))) open.set(aggregateKey(one), one)
  // its row may be deleted between the two reads: then it is met as one that has none
  const due = represented.flatMap(({ position, ...one }) =>
    position === null || open.has(aggregateKey(one)) ? [] : [{ ...one, position }],
  )
  return inTurns([...open.values()], due).slice(0, limit)
}
