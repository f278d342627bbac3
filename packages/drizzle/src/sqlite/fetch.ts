import type { DueEntry, FetchRequest, Lease } from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'
import { type Cuttable, cut } from '../shared/cut.ts'
import { contentColumns, entryAt, lentContentOf, type Tries } from './content.ts'
import { latePositions } from './late.ts'
import { sourceOf, standing } from './leases.ts'
import type { TableNames } from './names.ts'
import { integerOf } from './rows.ts'
import { type Candidate, findCandidates } from './scan.ts'
import { beyondAll, nowMs, rowLimit } from './sql.ts'
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
  return { entries: yield* lend(names, leases, taken), isComplete }
}

/** An entry that may be lent. */
interface Place extends Cuttable, Tries {}

/**
 * The oldest entry that a relay may have died of, if it is the head of its aggregate and due: it is lent alone.
 *
 * Plan: the index of what has crashes is nearly always empty; its condition has to be there word for word.
 */
function* oldestSuspect(names: TableNames, partitions: readonly number[]): Steps<Place | undefined> {
  const { pending, pendingOrder, pendingSuspect, aggregates } = names
  const [row] = yield* query(
    `SELECT e.position, e.payload_bytes, e.refused, e.crashes FROM ${pending} e INDEXED BY ${pendingSuspect}
     WHERE e.crashes > 0 AND e.crashes >= ${suspectAt} AND e.partition IN (SELECT value FROM json_each(?))
       AND NOT EXISTS (
         SELECT 1 FROM ${aggregates} a
         WHERE a.aggregate_type = e.aggregate_type AND a.aggregate_id = e.aggregate_id
           AND (a.blocked_by <> '[]' OR a.waiting_until > ${nowMs}))
       AND NOT EXISTS (
         SELECT 1 FROM ${pending} h INDEXED BY ${pendingOrder}
         WHERE h.partition = e.partition AND h.aggregate_type = e.aggregate_type AND h.aggregate_id = e.aggregate_id
           AND h.sequence < e.sequence)
     ORDER BY e.position LIMIT 1`,
    JSON.stringify(partitions),
  )
  return row && placeOf(row)
}

/** For each candidate, in order, the beginning of its pending entries by sequence: as much as the batch may need. */
function* prefixes(
  names: TableNames,
  candidates: readonly Candidate[],
  { limit, limitPerAggregate }: FetchRequest,
): Steps<readonly (readonly Place[])[]> {
  if (candidates.length === 0) return []
  let depth = Math.min(limitPerAggregate, Math.ceil(limit / candidates.length))
  for (;;) {
    const found = yield* prefixesTo(names, candidates, depth)
    const isEnough = found.reduce((sum, prefix) => sum + prefix.length, 0) >= limit
    if (isEnough || depth === limitPerAggregate || found.every((prefix) => prefix.length < depth)) return found
    depth = Math.min(limitPerAggregate, depth * 4)
  }
}

/** Plan: per candidate one range of the order index, up to the last of the first `depth`. */
function* prefixesTo(
  { pending, pendingOrder }: TableNames,
  candidates: readonly Candidate[],
  depth: number,
): Steps<readonly (readonly Place[])[]> {
  const rows = yield* query(
    `WITH candidates (place, partition, type, id) AS MATERIALIZED (
       SELECT key, value ->> 0, value ->> 1, value ->> 2 FROM json_each(?))
     SELECT c.place AS candidate, e.position, e.payload_bytes, e.refused, e.crashes
     FROM candidates c CROSS JOIN ${pending} e INDEXED BY ${pendingOrder}
       ON e.partition = c.partition AND e.aggregate_type = c.type AND e.aggregate_id = c.id
       AND e.sequence <= ifnull((
         SELECT sequence FROM ${pending} INDEXED BY ${pendingOrder}
         WHERE partition = c.partition AND aggregate_type = c.type AND aggregate_id = c.id
         ORDER BY sequence LIMIT 1 OFFSET ?), ${beyondAll})
     ORDER BY c.place, e.sequence`,
    JSON.stringify(
      candidates.map(({ partition, aggregateType, aggregateId }) => [partition, aggregateType, aggregateId]),
    ),
    depth - 1,
  )
  const found: Place[][] = candidates.map(() => [])
  for (const row of rows) found[integerOf(row, 'candidate')]?.push(placeOf(row))
  return found
}

function placeOf(row: Row): Place {
  return {
    position: integerOf(row, 'position'),
    payloadBytes: integerOf(row, 'payload_bytes'),
    refused: integerOf(row, 'refused'),
    crashes: integerOf(row, 'crashes'),
  }
}

/** Reads the entries, in the order given, and notes them under their leases; the other leases' notes are cleared. */
function* lend(
  names: TableNames,
  leases: ReadonlyMap<number, Lease>,
  places: readonly Place[],
): Steps<readonly DueEntry[]> {
  const rows = yield* query(
    `SELECT l.key AS place, ${contentColumns} FROM json_each(?) l ${entryAt(names, 'l.value')} ORDER BY l.key`,
    JSON.stringify(places.map(({ position }) => position)),
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
    const place = places[integerOf(row, 'place')]
    if (!lease || !place) return []
    return [{ ...lentContentOf(row, place), lease, source, isLate: late.has(place.position) }]
  })
}
