import type { OutboxEntry, PartitionStats, StoreStats } from '@outbox/core'
import { statsOf } from '../shared/stats.ts'
import { aggregateOf, dropIdleAggregates } from './aggregates.ts'
import { contentColumns, contentOf } from './content.ts'
import { idList } from './dead-letters.ts'
import type { TableNames } from './names.ts'
import { becomePublished } from './pending.ts'
import { integerOf, integerOrNullOf } from './rows.ts'
import { nowMs, rowLimit, wholeAge } from './sql.ts'
import { query, type Row, type Steps } from './steps.ts'

/** `OutboxSource.fetchUnpublished`. Plan: `pending` is in the order of positions. */
export function* fetchUnpublished({ entries, pending }: TableNames, limit: number): Steps<readonly OutboxEntry[]> {
  const rows = yield* query(
    `SELECT ${contentColumns} FROM ${pending} p CROSS JOIN ${entries} e ON e.position = p.position
     ORDER BY p.position LIMIT ?`,
    rowLimit(limit),
  )
  return rows.map(unpublishedEntry)
}

function unpublishedEntry(row: Row): OutboxEntry {
  return { ...contentOf(row), partition: integerOf(row, 'partition'), published: false, publishedAt: null }
}

/** `OutboxSource.markPublished`: under no lease, so for one relay at a time. */
export function* markPublished(names: TableNames, ids: readonly string[]): Steps<void> {
  const { entries, pending } = names
  const rows = yield* query(
    `SELECT position, aggregate_type, aggregate_id FROM ${pending}
     WHERE position IN (SELECT position FROM ${entries} WHERE id IN (SELECT value FROM json_each(?)))`,
    idList(ids),
  )
  yield* becomePublished(
    names,
    rows.map((row) => integerOf(row, 'position')),
  )
  yield* dropIdleAggregates(names, rows.map(aggregateOf))
}

/** `LeasedSource.stats`. Plan: two indexes alone; rows only for the oldest of each partition. */
export function* stats({ entries, pending, settled }: TableNames): Steps<StoreStats> {
  const rows = yield* query(
    `SELECT partition, pending, dead, ${nowMs} - (SELECT enqueued_at FROM ${entries} WHERE position = oldest) AS age
     FROM (
       SELECT partition, sum(pending) AS pending, sum(dead) AS dead, min(oldest) AS oldest
       FROM (
         SELECT partition, count(*) AS pending, 0 AS dead, min(position) AS oldest FROM ${pending} GROUP BY partition
         UNION ALL
         SELECT partition, 0, count(*), NULL FROM ${settled} WHERE outcome = 'dead' GROUP BY partition)
       GROUP BY partition)
     ORDER BY partition`,
  )
  return statsOf(rows.map(partitionStats))
}

function partitionStats(row: Row): PartitionStats {
  const age = integerOrNullOf(row, 'age')
  return {
    partition: integerOf(row, 'partition'),
    pending: integerOf(row, 'pending'),
    dead: integerOf(row, 'dead'),
    // a clock that was set back must not give a negative age
    oldestPendingAgeMs: age === null ? null : Math.max(0, age),
  }
}

/** One step of `LeasedSource.purge`. Plan: the index of published and discarded entries by time. */
export function* purgeSome({ entries, settled }: TableNames, olderThanMs: number, limit: number): Steps<number> {
  const rows = yield* query(
    `DELETE FROM ${settled} WHERE position IN (
       SELECT position FROM ${settled}
       WHERE outcome IN ('published', 'discarded') AND settled_at <= ${nowMs} - ?
       ORDER BY settled_at LIMIT ?)
     RETURNING position`,
    wholeAge(olderThanMs),
    limit,
  )
  yield* query(
    `DELETE FROM ${entries} WHERE position IN (SELECT value FROM json_each(?))`,
    JSON.stringify(rows.map((row) => integerOf(row, 'position'))),
  )
  return rows.length
}
