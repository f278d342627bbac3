import { isUuid, type Lease, OutboxError, partitionOf, type Settlement, type SettleRequest } from '@outbox/core'
import { aggregateKey, firstWords, groupedBy, requeuesOf, retryWaitMs } from '@outbox/core/adapter'
import { later, now } from './content.ts'
import { distinctLeases, fenceOf, leaseKey, standingCondition } from './fence.ts'
import { by, byKey } from './indexes.ts'
import {
  type GivenType,
  type GivenValue,
  givenTable,
  hexOf,
  isOneOf,
  numberList,
  storable,
  uuidDigits,
  uuidLiteral,
  whole,
} from './literals.ts'
import type { Names } from './names.ts'
import { type Row, uuidIn } from './rows.ts'
import type { Session } from './session.ts'

/** `LeasedSource.settle`. One lost lease does not void what is said under the others. */
export async function settle(
  session: Session,
  names: Names,
  request: SettleRequest,
): Promise<{ readonly lost: readonly Lease[] }> {
  // A lease that only a settlement names is one of the batch as well.
  const leases = distinctLeases([...request.leases, ...new Set(request.settlements.map(({ entry }) => entry.lease))])
  if (leases.length === 0) return { lost: [] }
  const lost = new Set<string>()
  for (const round of rounds(request.settlements)) {
    const left = leases.filter((lease) => !lost.has(leaseKey(lease)))
    for (const lease of await settleRound(session, names, left, round, request)) lost.add(leaseKey(lease))
  }
  return { lost: request.leases.filter((lease) => lost.has(leaseKey(lease))) }
}

/**
 * Settlements that one statement can take: of each aggregate at most one that makes it wait or blocks it, because a
 * statement changes a row once. There is hardly ever more than one round.
 */
function rounds(settlements: readonly Settlement[]): readonly (readonly Settlement[])[] {
  const found: Settlement[][] = [[]]
  const failures = new Map<string, number>()
  for (const settlement of firstWords(settlements)) {
    const key = stopsAggregate(settlement) ? aggregateKey(settlement.entry) : undefined
    const round = key === undefined ? 0 : (failures.get(key) ?? 0)
    if (key !== undefined) failures.set(key, round + 1)
    const settlementsOfRound = found[round] ?? []
    settlementsOfRound.push(settlement)
    found[round] = settlementsOfRound
  }
  return found
}

function stopsAggregate(settlement: Settlement): boolean {
  return settlement.outcome === 'retry' || (settlement.outcome === 'dead' && settlement.blocksAggregate)
}

/** @returns the leases that do not stand */
async function settleRound(
  session: Session,
  names: Names,
  leases: readonly Lease[],
  settlements: readonly Settlement[],
  request: SettleRequest,
): Promise<readonly Lease[]> {
  if (leases.length === 0) return []
  if (await settleAll(session, names, leases, settlements, request)) return []
  if (leases.length === 1) return leases
  // at least one of them is lost: each is asked for by itself
  const lost: Lease[] = []
  for (const lease of leases) {
    const own = settlements.filter(({ entry }) => leaseKey(entry.lease) === leaseKey(lease))
    if (!(await settleAll(session, names, [lease], own, request))) lost.push(lease)
  }
  return lost
}

/** How often the rows of aggregates are made anew for settlements that found them gone. */
const attempts = 5

/** Settles everything if all leases stand, and nothing otherwise. @returns whether they do */
async function settleAll(
  session: Session,
  names: Names,
  leases: readonly Lease[],
  settlements: readonly Settlement[],
  request: SettleRequest,
): Promise<boolean> {
  if (settlements.every(({ outcome }) => outcome === 'published')) {
    return settlePublished(session, names, leases, settlements, request)
  }
  const stopping = settlements.filter(stopsAggregate)
  let said = settlements
  for (let attempt = 1; attempt <= attempts; attempt++) {
    await makeRows(session, names, stopping, request)
    const { affectedRows } = await session.write(settleStatement(names, leases, said), request)
    if (affectedRows === 0) {
      if (attempt === 1) return false
      // they stood, and what was said then counts; of the rest, what is said under those that still stand
      for (const lease of leases.length > 1 ? leases : []) {
        const own = said.filter(({ entry }) => leaseKey(entry.lease) === leaseKey(lease))
        if (own.length > 0) await settleAll(session, names, [lease], own, request)
      }
      return true
    }
    said = await withoutRow(session, names, stopping, request)
    if (said.length === 0) return true
  }
  throw new OutboxError('busy', 'Rows of aggregates vanish while they are settled: try again.', { system: 'mysql' })
}

/** What a batch nearly always comes to. It needs no rows of aggregates, and names its entries in a list. */
async function settlePublished(
  session: Session,
  names: Names,
  leases: readonly Lease[],
  published: readonly Settlement[],
  request: SettleRequest,
): Promise<boolean> {
  const known = published.filter(
    ({ entry }) => isUuid(entry.id) && partitionOf(entry.aggregateType, entry.aggregateId) === entry.lease.partition,
  )
  const settled =
    known.length === 0 ? 0 : (await session.write(publishedStatement(names, leases, known), request)).affectedRows
  if (settled === published.length + leases.length) return true
  // A lease may have none of the entries, or they are settled already: its notes are to be cleared all the same.
  const cleared = await session.write(
    `update ${names.leases} ${byKey} set settles = settles + 1
    where \`partition\` in ${numberList(leases.map(({ partition }) => partition))} and ${standingCondition(leases)}`,
    request,
  )
  // what counted did so while all of them stood, whatever has become of them since
  return settled > 0 || cleared.affectedRows === leases.length
}

/**
 * The leases are locked and counted first, then the entries are found by their ids. Rows that are changed, in a count:
 * the entries, and their leases.
 *
 * Numbers and times alone are changed: no row grows, which would move it, and no text has to wait in a file until the
 * rows of both tables are found.
 */
function publishedStatement(names: Names, leases: readonly Lease[], published: readonly Settlement[]): string {
  const byTry = groupedBy(
    published,
    ({ entry }) => `e.refused + 1 = ${whole(entry.attempt)} and e.requeues = ${whole(requeuesOf(entry))}`,
  )
  const found = [...byTry].map(
    ([condition, settlements]) =>
      `(${condition} and ${isOneOf(
        'e.id',
        settlements.map(({ entry }) => uuidLiteral(entry.id)),
      )})`,
  )
  return `update ${fenceOf(names.leases, leases)}
straight_join ${names.entries} e ${by(names, 'entries_id')}
straight_join ${names.leases} l ${byKey} on l.\`partition\` = e.\`partition\`
set l.settles = l.settles + 1, e.state = 'published', e.place = 'scanned', e.crashes = 0, e.settled_at = ${now}
where fence.standing = ${leases.length} and e.state = 'pending' and (${found.join(' or ')})
  and e.\`partition\` in ${numberList(leases.map(({ partition }) => partition))}`
}

/**
 * Makes the rows that the settlements need, before the statement that is fenced. Such a row says "due at once", and
 * stands for nothing that the scan would not find as well: it changes nothing by itself.
 */
async function makeRows(
  session: Session,
  { aggregates }: Names,
  stopping: readonly Settlement[],
  request: SettleRequest,
): Promise<void> {
  if (stopping.length === 0) return
  const rows = stopping.map(
    ({ entry }) =>
      [
        hexOf(entry.aggregateType),
        hexOf(entry.aggregateId),
        partitionOf(entry.aggregateType, entry.aggregateId),
      ] as const,
  )
  rows.sort(([type, id], [otherType, otherId]) => (`${type} ${id}` < `${otherType} ${otherId}` ? -1 : 1))
  const given = givenTable('stopped', { of_type: 'hex', of_id: 'hex', of_partition: 'integer' }, rows)
  await session.write(
    `insert into ${aggregates} (aggregate_type, aggregate_id, \`partition\`, waiting_until)
    select unhex(stopped.of_type), unhex(stopped.of_id), stopped.of_partition, ${now} from ${given}
    on duplicate key update parkings = parkings + 1`,
    request,
  )
}

/** Those of the settlements that changed nothing because the row of their aggregate was gone again. */
async function withoutRow(
  session: Session,
  names: Names,
  stopping: readonly Settlement[],
  request: SettleRequest,
): Promise<readonly Settlement[]> {
  if (stopping.length === 0) return []
  const { entries, aggregates } = names
  const rows = stopping.map(({ entry }) => [uuidDigits(entry.id), entry.attempt, requeuesOf(entry)] as const)
  const found = await session.read(
    `select hex(e.id) as id
    from ${givenTable('said', { of_id: 'hex', attempt: 'integer', requeues: 'integer' }, rows)}
    straight_join ${entries} e ${by(names, 'entries_id')} on e.id = unhex(said.of_id)
    left join ${aggregates} a ${byKey} on a.aggregate_type = e.aggregate_type and a.aggregate_id = e.aggregate_id
    where e.state = 'pending' and e.refused = said.attempt - 1 and e.requeues = said.requeues and a.aggregate_type is null`,
    request,
  )
  const ids = new Set(found.map((row: Row) => uuidIn(row, 'id')))
  return stopping.filter(({ entry }) => ids.has(entry.id))
}

const saidColumns = {
  of_partition: 'integer',
  of_id: 'hex',
  attempt: 'integer',
  requeues: 'integer',
  outcome: 'word',
  is_refusal: 'integer',
  retry_in_ms: 'integer',
  blocks: 'integer',
  of_type: 'hex',
  of_aggregate: 'hex',
  reason: 'text',
} as const satisfies Readonly<Record<string, GivenType>>

/**
 * One statement: the leases are locked and counted first, then entries and the rows of aggregates are found by their
 * keys alone.
 */
function settleStatement(names: Names, leases: readonly Lease[], settlements: readonly Settlement[]): string {
  const { entries, aggregates } = names
  return `update ${fenceOf(names.leases, leases)}
straight_join ${givenTable('said', saidColumns, saidRows(leases, settlements))}
straight_join ${names.leases} l ${byKey} on l.\`partition\` = said.of_partition
left join ${aggregates} a ${byKey} on a.aggregate_type = unhex(said.of_type) and a.aggregate_id = unhex(said.of_aggregate)
left join ${entries} e ${by(names, 'entries_id')} on e.id = unhex(said.of_id) and e.\`partition\` = l.\`partition\`
  and e.state = 'pending' and e.refused = said.attempt - 1 and e.requeues = said.requeues
  and (said.of_type is null or a.aggregate_type is not null)
set l.settles = l.settles + 1,
  e.refused = e.refused + said.is_refusal,
  e.crashes = 0,
  e.blocks = said.blocks,
  -- an entry that is tried again stands in the scan until the fetch that meets it parks it behind its aggregate's row
  e.place = if(e.place = 'suspect' or said.outcome <> 'retry', 'scanned', e.place),
  e.settled_at = if(said.outcome = 'retry', e.settled_at, ${now}),
  e.settled_by = if(said.outcome = 'dead', l.holder, null),
  e.reason = said.reason,
  e.state = if(said.outcome = 'retry', e.state, said.outcome),
  a.blockers = a.blockers + if(e.id is null, 0, said.blocks),
  a.waiting_until = if(e.id is null or said.outcome <> 'retry', a.waiting_until, ${later('said.retry_in_ms')})
where fence.standing = ${leases.length}`
}

/** In the order of the leases, which is that of their locks. A lease about which nothing is said has its notes cleared. */
function saidRows(leases: readonly Lease[], settlements: readonly Settlement[]): readonly (readonly GivenValue[])[] {
  return leases.flatMap((lease) => {
    const own = settlements.filter(({ entry }) => leaseKey(entry.lease) === leaseKey(lease))
    return own.length > 0 ? own.map(saidRow) : [[lease.partition, null, null, null, null, 0, null, 0, null, null, null]]
  })
}

function saidRow(settlement: Settlement): readonly GivenValue[] {
  const { entry, outcome } = settlement
  const stops = stopsAggregate(settlement)
  return [
    entry.lease.partition,
    uuidDigits(entry.id),
    entry.attempt,
    requeuesOf(entry),
    outcome,
    outcome === 'retry' && settlement.isRefusal,
    outcome === 'retry' ? retryWaitMs(settlement) : null,
    outcome === 'dead' && settlement.blocksAggregate,
    stops ? hexOf(entry.aggregateType) : null,
    stops ? hexOf(entry.aggregateId) : null,
    outcome === 'published' ? null : storable(settlement.reason),
  ]
}
