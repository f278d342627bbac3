import type { FetchRequest, Lease } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import { now } from './content.ts'
import { by, byKey, forEachPartition, inOrder } from './indexes.ts'
import { numberList } from './literals.ts'
import type { Names } from './names.ts'
import { booleanIn, numberIn, numberOrNullIn, type Row, textIn } from './rows.ts'
import type { Session } from './session.ts'

export interface AggregateName {
  readonly aggregateType: string
  readonly aggregateId: string
}

/** An aggregate that has something due, or seems to: what is lent of it is read later. */
export interface Candidate extends AggregateName {
  readonly partition: number
  /** of its oldest entry that was seen: older aggregates come first */
  readonly position: number
}

/** An entry that the scan has met. */
export interface Met extends AggregateName {
  readonly partition: number
  readonly position: number
  /** of its aggregate: nothing stands for it; or a row does, and it is due, or it waits or is blocked */
  readonly row: 'none' | 'due' | 'waiting'
  /** in the scanned range of a partition that hardly any aggregates fill */
  readonly isCrowded: boolean
}

/**
 * How far a scan looks. A window is the front of a partition's range; where a few aggregates fill it, another, deeper
 * look is taken, at a few partitions each time, and what fills it is parked so that it never fills it again.
 */
const looks = Object.freeze({
  smallestWindow: 16,
  /** fewer aggregates than that in a full window mean that others may stand behind them */
  crowdedBelow: 4,
  crowdedPartitions: 2,
  deepWindow: 2000,
})

function windowFor(request: FetchRequest, leases: readonly Lease[]): number {
  return Math.max(looks.smallestWindow, Math.ceil((2 * request.limit) / leases.length))
}

/** Plan: for each partition one range of the index of the scan, whatever stands behind it. */
export async function scan(
  session: Session,
  names: Names,
  request: FetchRequest,
  leases: readonly Lease[],
): Promise<readonly Met[]> {
  const window = windowFor(request, leases)
  const fronts = leases.map(({ partition }) => ({ partition, after: 0, depth: window, isCrowded: false }))
  const front = await look(session, names, request, fronts)
  const deeper = deeperLooks(front, leases, window, request.limit)
  if (deeper.length === 0) return front
  const crowded = new Set(deeper.filter(({ isCrowded }) => isCrowded).map(({ partition }) => partition))
  const behind = await look(session, names, request, deeper)
  return [...front.map((met) => ({ ...met, isCrowded: crowded.has(met.partition) })), ...behind]
}

interface Look {
  readonly partition: number
  readonly after: number
  readonly depth: number
  readonly isCrowded: boolean
}

async function look(
  session: Session,
  names: Names,
  request: FetchRequest,
  at: readonly Look[],
): Promise<readonly Met[]> {
  const { entries, aggregates } = names
  const ranges = forEachPartition(
    at.map((_, index) => index),
    (index) => {
      const { partition, after, depth } = at[index] ?? { partition: 0, after: 0, depth: 0 }
      return `select \`partition\`, position, aggregate_type, aggregate_id from ${entries} ${by(names, 'entries_scan')}
      where \`partition\` = ${partition} and state = 'pending' and place = 'scanned' and position > ${after}
      order by position limit ${depth}`
    },
  )
  const rows = await session.read(
    `select met.*, case when a.aggregate_type is null then 'none'
      when a.blockers = 0 and a.waiting_until <= ${now} then 'due' else 'waiting' end as represented
    from (${ranges}) met
    left join ${aggregates} a ${byKey} on a.aggregate_type = met.aggregate_type and a.aggregate_id = met.aggregate_id
    order by met.\`partition\`, met.position`,
    request,
  )
  const crowded = new Set(at.filter(({ isCrowded }) => isCrowded).map(({ partition }) => partition))
  return rows.map((row) => metIn(row, crowded))
}

function metIn(row: Row, crowded: ReadonlySet<number>): Met {
  const partition = numberIn(row, 'partition')
  const represented = textIn(row, 'represented')
  return {
    ...nameIn(row),
    partition,
    position: numberIn(row, 'position'),
    row: represented === 'none' || represented === 'due' ? represented : 'waiting',
    isCrowded: crowded.has(partition),
  }
}

/**
 * Where a window is full there may be more behind it. All of these get their share of what the batch still wants; and
 * a few of those that hardly any aggregates fill are looked through much deeper, for others that stand behind.
 */
function deeperLooks(front: readonly Met[], leases: readonly Lease[], window: number, limit: number): readonly Look[] {
  const full = leases.flatMap(({ partition }) => {
    const met = front.filter((one) => one.partition === partition)
    if (met.length < window) return []
    const open = new Set(met.filter(({ row }) => row === 'none').map(aggregateKey)).size
    return [{ partition, after: met.at(-1)?.position ?? 0, open, turn: Math.random() }]
  })
  // crowded ones in another order each time, so that each of many has its turn
  const crowded = full
    .filter(({ open }) => open < looks.crowdedBelow)
    .sort((a, b) => a.turn - b.turn)
    .slice(0, looks.crowdedPartitions)
  const share = Math.floor(Math.max(2 * limit - front.length, 0) / Math.max(full.length, 1))
  return full
    .map((one) => {
      const isCrowded = crowded.includes(one)
      return { ...one, isCrowded, depth: share + (isCrowded ? looks.deepWindow : 0) }
    })
    .filter(({ depth }) => depth > 0)
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
 * Plan: a range of the index of aggregates that are due for each partition. A row that never parked anything is not
 * asked whether it has.
 */
export async function returning(
  session: Session,
  names: Names,
  request: FetchRequest,
  leases: readonly Lease[],
): Promise<readonly Returning[]> {
  const { entries, aggregates } = names
  const pending = `from ${entries} e ${by(names, 'entries_order')}
        where e.aggregate_type = due.aggregate_type and e.aggregate_id = due.aggregate_id and e.state = 'pending'`
  const rows = await session.read(
    `select due.\`partition\`, due.aggregate_type, due.aggregate_id, due.parkings,
      timestampdiff(microsecond, '1970-01-01', due.waiting_until) as due_since,
      (select e.position ${pending} ${inOrder('e')}) as position,
      due.parkings > 0 and exists (select 1 ${pending} and e.place = 'parked') as has_parked
    from (
      select a.*, row_number() over (partition by a.\`partition\` order by a.waiting_until) as nth
      from ${aggregates} a ${by(names, 'aggregates_due')}
      where a.\`partition\` in ${numberList(leases.map(({ partition }) => partition))}
        and a.blockers = 0 and a.waiting_until <= ${now}
    ) due
    where due.nth <= ${windowFor(request, leases)}`,
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
  const due = represented.flatMap(({ position, ...one }) => (position === null ? [] : [{ ...one, position }]))
  const turns = [...inTurns([...open.values()]), ...inTurns(due)]
  turns.sort((a, b) => a.turn - b.turn || a.candidate.position - b.candidate.position)
  return turns.slice(0, limit).map(({ candidate }) => candidate)
}

function inTurns(
  candidates: readonly Candidate[],
): readonly { readonly candidate: Candidate; readonly turn: number }[] {
  const turns = new Map<number, number>()
  return candidates
    .toSorted((a, b) => a.position - b.position)
    .map((candidate) => {
      const turn = turns.get(candidate.partition) ?? 0
      turns.set(candidate.partition, turn + 1)
      return { candidate, turn }
    })
}

export function nameIn(row: Row): AggregateName {
  return { aggregateType: textIn(row, 'aggregate_type'), aggregateId: textIn(row, 'aggregate_id') }
}
