import type { FetchRequest } from '@outbox/core'
import { aggregateKey, groupedBy, inTurns, type Standing } from '@outbox/core/adapter'
import { type AggregateName, aggregateOf } from './aggregates.ts'
import type { TableNames } from './names.ts'
import { booleanOf, integerOf, integerOrNullOf } from './rows.ts'
import { beyondAll, nowMs } from './sql.ts'
import { query, type Row, type Steps } from './steps.ts'

/** An aggregate that has something due. It stands where its oldest entry does. */
export interface Candidate extends AggregateName, Standing {}

export interface Found {
  /** in the order in which they come into the batch */
  readonly candidates: readonly Candidate[]
  /** false: there was more to walk through; what stood in the way is parked now */
  readonly isComplete: boolean
}

type Limits = Pick<FetchRequest, 'limit' | 'limitPerAggregate'>

/** Entries that one scan looks at, at most: some 10 ms. */
const walkLimit = 4096
/** A partition that shows this many aggregates is not kept from the batch by any one of them. */
const enoughAggregates = 4
/** An aggregate with more entries than this in one scan is not walked through a second time. */
const longBacklog = 256
const smallestPage = 16
const largestPage = 1024

/**
 * Finds aggregates that are due: those with entries that are pending in the scanned index, and those that stand in
 * the table of aggregates because they waited, were blocked, or have a long backlog, and whose time has come.
 *
 * A row in that table takes the place of the aggregate's entries: those that the scan meets are parked, once, and are
 * never in its way again.
 */
export function* findCandidates(names: TableNames, partitions: readonly number[], limits: Limits): Steps<Found> {
  const represented = yield* dueAggregates(names, partitions, limits)
  const walks = partitions.map(startWalk)
  const isComplete = yield* walkPending(names, walks, limits)
  for (const walk of walks) {
    const behindRows = yield* represent(names, walk, limits)
    yield* park(names, walk, [...walk.represented, ...behindRows])
  }
  const pending = walks.flatMap((walk) => [...walk.aggregates.values()].map(({ candidate }) => candidate))
  return { candidates: inTurns(pending, represented).slice(0, limits.limit), isComplete }
}

/**
 * The front of what is due of each partition: more than its share of the batch. Where that does not fill the batch, as
 * much as the batch may hold of those partitions that have more.
 */
function* dueAggregates(names: TableNames, partitions: readonly number[], limits: Limits): Steps<readonly Candidate[]> {
  const { limit } = limits
  const share = Math.min(limit, 2 * firstPage(partitions.length, limits))
  const fronts = yield* dueFronts(names, partitions, share)
  if (fronts.length >= limit) return withPending(fronts)
  const full = [...groupedBy(fronts, ({ partition }) => partition)].flatMap(([partition, due]) =>
    due.length < share || share === limit ? [] : partition,
  )
  if (full.length === 0) return withPending(fronts)
  const others = fronts.filter(({ partition }) => !full.includes(partition))
  return withPending([...others, ...(yield* dueFronts(names, full, limit))])
}

/** Plan: of each partition one range of the index of what is due; it comes as a list, since many are due at one time. */
function* dueFronts(
  { aggregates, aggregatesDue, pending, pendingOrder }: TableNames,
  partitions: readonly number[],
  most: number,
): Steps<readonly Due[]> {
  const rows = yield* query(
    `SELECT p.value AS partition, a.value ->> 0 AS aggregate_type, a.value ->> 1 AS aggregate_id, (
         SELECT position FROM ${pending} INDEXED BY ${pendingOrder}
         WHERE partition = p.value AND aggregate_type = a.value ->> 0 AND aggregate_id = a.value ->> 1
         ORDER BY sequence LIMIT 1) AS position
     FROM json_each(?) p CROSS JOIN json_each((
       SELECT json_group_array(json_array(aggregate_type, aggregate_id, waiting_until)) FROM (
         SELECT aggregate_type, aggregate_id, waiting_until FROM ${aggregates} INDEXED BY ${aggregatesDue}
         WHERE partition = p.value AND blocked_by = '[]' AND waiting_until <= ${nowMs}
         ORDER BY waiting_until LIMIT ?))) a
     ORDER BY a.value ->> 2, position`,
    JSON.stringify(partitions),
    most,
  )
  return rows.map((row) => ({
    ...aggregateOf(row),
    partition: integerOf(row, 'partition'),
    position: integerOrNullOf(row, 'position'),
  }))
}

/** An aggregate that has a row whose time has come. */
type Due = Omit<Candidate, 'position'> & { readonly position: number | null }

function withPending(due: readonly Due[]): readonly Candidate[] {
  return due.flatMap(({ position, ...one }) => (position === null ? [] : { ...one, position }))
}

/** A partition's share of the batch, or somewhat more. */
function firstPage(partitions: number, { limit }: Limits): number {
  return Math.min(largestPage, Math.max(smallestPage, Math.ceil(limit / partitions)))
}

/** How far the scan has come in one partition. */
interface Walk {
  readonly partition: number
  /** open: there may be more; ended: it has met the last pending entry */
  status: 'open' | 'ended'
  after: number
  /** due, by aggregate, oldest first, with the entries met */
  readonly aggregates: Map<string, { readonly candidate: Candidate; readonly positions: number[] }>
  /** entries met whose aggregate stands in the table of aggregates */
  readonly represented: number[]
}

function startWalk(partition: number): Walk {
  return { partition, status: 'open', after: 0, aggregates: new Map(), represented: [] }
}

/** A few aggregates fill all that was seen of the partition, and there is more. */
function isDominated(walk: Walk): boolean {
  return walk.status === 'open' && walk.aggregates.size < enoughAggregates
}

/**
 * Walks through the partitions side by side, page by page, until the batch can be filled and every partition has
 * shown enough aggregates, or all of its entries. @returns false when the limit ended it before
 */
function* walkPending(names: TableNames, walks: readonly Walk[], limits: Limits): Steps<boolean> {
  let page = firstPage(walks.length, limits)
  for (let walked = 0; ; page = Math.min(largestPage, page * 2)) {
    const goOn = walks.filter((walk) => (isFilled(walks, limits) ? isDominated(walk) : walk.status === 'open'))
    if (goOn.length === 0) return true
    if (walked >= walkLimit) return false
    const perPartition = Math.min(page, Math.max(smallestPage, Math.ceil((walkLimit - walked) / goOn.length)))
    walked += yield* nextPage(names, goOn, perPartition)
  }
}

function isFilled(walks: readonly Walk[], { limit, limitPerAggregate }: Limits): boolean {
  let capacity = 0
  for (const { aggregates } of walks) {
    for (const { positions } of aggregates.values()) capacity += Math.min(positions.length, limitPerAggregate)
  }
  return capacity >= limit
}

/** Plan: per partition one range of the scan index, up to the last of the page. */
function* nextPage(names: TableNames, walks: readonly Walk[], size: number): Steps<number> {
  const { pending, pendingScan, aggregates } = names
  const rows = yield* query(
    `SELECT e.partition, e.position, e.aggregate_type, e.aggregate_id, EXISTS (
         SELECT 1 FROM ${aggregates} a
         WHERE a.aggregate_type = e.aggregate_type AND a.aggregate_id = e.aggregate_id) AS is_represented
     FROM json_each(?) p CROSS JOIN ${pending} e INDEXED BY ${pendingScan}
       ON e.partition = p.value ->> 0 AND e.is_parked = 0 AND e.position > p.value ->> 1
       AND e.position <= ifnull((
         SELECT position FROM ${pending} INDEXED BY ${pendingScan}
         WHERE partition = p.value ->> 0 AND is_parked = 0 AND position > p.value ->> 1
         ORDER BY position LIMIT 1 OFFSET ?), ${beyondAll})
     ORDER BY e.position`,
    JSON.stringify(walks.map(({ partition, after }) => [partition, after])),
    size - 1,
  )
  const met = new Map<number, Row[]>(walks.map(({ partition }) => [partition, []]))
  for (const row of rows) met.get(integerOf(row, 'partition'))?.push(row)
  for (const walk of walks) {
    const page = met.get(walk.partition) ?? []
    if (page.length < size) walk.status = 'ended'
    for (const row of page) meet(walk, row)
  }
  return rows.length
}

function meet(walk: Walk, row: Row): void {
  const candidate = candidateOf(row)
  walk.after = candidate.position
  if (booleanOf(row, 'is_represented')) {
    walk.represented.push(candidate.position)
    return
  }
  const key = aggregateKey(candidate)
  const known = walk.aggregates.get(key)
  if (known) known.positions.push(candidate.position)
  else walk.aggregates.set(key, { candidate, positions: [candidate.position] })
}

function candidateOf(row: Row): Candidate {
  return { ...aggregateOf(row), partition: integerOf(row, 'partition'), position: integerOf(row, 'position') }
}

/**
 * Gives aggregates whose backlog keeps others out of sight a row of their own, due now, so that the next scan gets
 * past them, and what is enqueued from now on is born parked. @returns the entries that the rows stand for
 */
function* represent({ aggregates }: TableNames, walk: Walk, limits: Limits): Steps<readonly number[]> {
  const longest = isDominated(walk) ? 0 : Math.max(longBacklog, limits.limitPerAggregate)
  const inTheWay: number[] = []
  for (const { candidate, positions } of walk.aggregates.values()) {
    if (positions.length <= longest) continue
    yield* query(
      `INSERT INTO ${aggregates} (aggregate_type, aggregate_id, partition, waiting_until) VALUES (?, ?, ?, ${nowMs})
       ON CONFLICT DO NOTHING`,
      candidate.aggregateType,
      candidate.aggregateId,
      candidate.partition,
    )
    inTheWay.push(...positions)
  }
  return inTheWay
}

/** Plan: what was walked through of the scan index, once more. */
function* park({ pending, pendingScan }: TableNames, walk: Walk, positions: readonly number[]): Steps<void> {
  if (positions.length === 0) return
  yield* query(
    `UPDATE ${pending} INDEXED BY ${pendingScan} SET is_parked = 1
     WHERE partition = ? AND is_parked = 0 AND position <= ? AND +position IN (SELECT value FROM json_each(?))`,
    walk.partition,
    walk.after,
    JSON.stringify(positions),
  )
}
