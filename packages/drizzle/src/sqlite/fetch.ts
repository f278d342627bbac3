import type { DueEntry, FetchRequest, Lease } from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'
import { type Cuttable, cut } from '../shared/cut.ts'
import { contentColumns, lentContentOf } from './content.ts'
import { latePositions } from './late.ts'
import { sourceOf, standing } from './leases.ts'
import type { TableNames } from './names.ts'
import { integerOf } from './rows.ts'
import { type Candidate, findCandidates } from './scan.ts'
import { nowMs, rowLimit } from './sql.ts'
import { query, type Row, type Steps } from './steps.ts'

export interface Batch {
  readonly entries: readonly DueEntry[]
  /** false: nothing was found so far, and there is more to look through */
  readonly isComplete: boolean
}

const nothing: Batch = { entries: [], isComplete: true }

/**
 * `LeasedSource.fetch`, as one transaction that holds the write lock.
 *
 * A first scan finds the aggregates that come into the batch; then each of these is read from its lowest pending
 * sequence on. So the position of an entry only decides which aggregates come first, never what is lent of one.
 */
export function* fetch(names: TableNames, given: FetchRequest): Steps<Batch> {
  const limits = { limit: rowLimit(given.limit), limitPerAggregate: rowLimit(given.limitPerAggregate) }
  const request: FetchRequest = { ...given, ...limits }
  const leases = new Map((yield* standing(names, request.leases)).map((lease) => [lease.partition, lease]))
  if (leases.size === 0 || request.limit === 0 || request.limitPerAggregate === 0) return nothing
  const partitions = [...leases.keys()]
  const suspect = yield* oldestSuspect(names, partitions)
  if (suspect !== undefined) {
    return { entries: yield* lend(names, leases, [suspect]), isComplete: true }
  }
  const { candidates, isComplete } = yield* findCandidates(names, partitions, request)
  const taken = cut(yield* prefixes(names, candidates, request), request)
  const positions = taken.map(({ position }) => position)
  return { entries: yield* lend(names, leases, positions), isComplete }
}

/**
 * The oldest entry that a relay may have died of, if it is the head of its aggregate and due: it is lent alone.
 *
 * Plan: the index of what has crashes is nearly always empty; its condition has to be there word for word.
 */
function* oldestSuspect({ pending, aggregates }: TableNames, partitions: readonly number[]): Steps<number | undefined> {
  const [row] = yield* query(
    `SELECT e.position FROM ${pending} e
     WHERE e.crashes > 0 AND e.crashes >= ${suspectAt} AND e.partition IN (SELECT value FROM json_each(?))
       AND NOT EXISTS (
         SELECT 1 FROM ${aggregates} a
         WHERE a.aggregate_type = e.aggregate_type AND a.aggregate_id = e.aggregate_id
           AND (a.blocked_by <> '[]' OR a.waiting_until > ${nowMs}))
       AND NOT EXISTS (
         SELECT 1 FROM ${pending} h
         WHERE h.partition = e.partition AND h.aggregate_type = e.aggregate_type AND h.aggregate_id = e.aggregate_id
           AND h.sequence < e.sequence)
     ORDER BY e.position LIMIT 1`,
    JSON.stringify(partitions),
  )
  return row && integerOf(row, 'position')
}

/** For each candidate, in order, the beginning of its pending entries by sequence: as much as the batch may need. */
function* prefixes(
  names: TableNames,
  candidates: readonly Candidate[],
  { limit, limitPerAggregate }: FetchRequest,
): Steps<readonly (readonly Cuttable[])[]> {
  if (candidates.length === 0) return []
  let depth = Math.min(limitPerAggregate, Math.ceil(limit / candidates.length))
  for (;;) {
    const found = yield* prefixesTo(names, candidates, depth)
    const isEnough = found.reduce((sum, prefix) => sum + prefix.length, 0) >= limit
    if (isEnough || depth === limitPerAggregate || found.every((prefix) => prefix.length < depth)) return found
    depth = Math.min(limitPerAggregate, depth * 4)
  }
}

/** Plan: per candidate one range of the order index, which ends after `depth` rows. */
function* prefixesTo(
  { pending }: TableNames,
  candidates: readonly Candidate[],
  depth: number,
): Steps<readonly (readonly Cuttable[])[]> {
  const rows = yield* query(
    `SELECT c.key AS candidate, e.position, e.payload_bytes, e.crashes
     FROM json_each(?) c CROSS JOIN ${pending} h ON h.position = c.value CROSS JOIN ${pending} e ON e.position IN (
       SELECT position FROM ${pending}
       WHERE partition = h.partition AND aggregate_type = h.aggregate_type AND aggregate_id = h.aggregate_id
       ORDER BY sequence LIMIT ?)
     ORDER BY c.key, e.sequence`,
    JSON.stringify(candidates.map(({ position }) => position)),
    depth,
  )
  const found: Cuttable[][] = candidates.map(() => [])
  for (const row of rows) found[integerOf(row, 'candidate')]?.push(placeOf(row))
  return found
}

function placeOf(row: Row): Cuttable {
  return {
    position: integerOf(row, 'position'),
    payloadBytes: integerOf(row, 'payload_bytes'),
    crashes: integerOf(row, 'crashes'),
  }
}

/** Reads the entries, in the order given, and notes them under their leases; the other leases' notes are cleared. */
function* lend(
  names: TableNames,
  leases: ReadonlyMap<number, Lease>,
  positions: readonly number[],
): Steps<readonly DueEntry[]> {
  const rows = yield* query(
    `SELECT ${contentColumns}, p.refused, p.crashes
     FROM json_each(?) l CROSS JOIN ${names.pending} p ON p.position = l.value CROSS JOIN ${names.entries} e ON e.position = l.value
     ORDER BY l.key`,
    JSON.stringify(positions),
  )
  const inFlight = new Map<number, number[]>([...leases.keys()].map((partition) => [partition, []]))
  for (const row of rows) inFlight.get(integerOf(row, 'partition'))?.push(integerOf(row, 'position'))
  yield* query(
    `UPDATE ${names.leases} SET in_flight = n.value ->> 1 FROM json_each(?) n
     WHERE partition = n.value ->> 0 AND in_flight <> n.value ->> 1`,
    JSON.stringify([...inFlight].map(([partition, noted]) => [partition, JSON.stringify(noted)])),
  )
  if (rows.length === 0) return []
  const source = yield* sourceOf(names)
  const late = yield* latePositions(names, rows)
  return rows.flatMap((row) => {
    const lease = leases.get(integerOf(row, 'partition'))
    return lease ? [{ ...lentContentOf(row), lease, source, isLate: late.has(integerOf(row, 'position')) }] : []
  })
}
