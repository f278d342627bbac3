import { type OutboxEntry, type PartitionStats, partitionCount, type StoreStats } from '@outbox/core'
import { statsOf } from '../shared/stats.ts'
import { aggregateOf, dropIdleAggregates } from './aggregates.ts'
import { contentColumns, contentOf } from './content.ts'
import { idList } from './dead-letters.ts'
import type { TableNames } from './names.ts'
import { integerOf, integerOrNullOf } from './rows.ts'
import { isPending, nowMs, rowLimit } from './sql.ts'
import { query, type Row, type Steps } from './steps.ts'

/**
 * `OutboxSource.fetchUnpublished`.
 *
 * Plan: the oldest of every partition, from the index of what stands in the scan and from that of what is parked; of
 * these the oldest.
 */
export function* fetchUnpublished({ entries }: TableNames, limit: number): Steps<readonly OutboxEntry[]> {
  const most = rowLimit(limit)
  const rows = yield* query(
    `WITH RECURSIVE partitions (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM partitions WHERE n < ${partitionCount - 1})
     SELECT ${contentColumns} FROM ${entries} e WHERE e.position IN (
       SELECT position FROM (${frontsOf(entries, 'pending')} UNION ALL ${frontsOf(entries, 'parked')})
       ORDER BY position LIMIT ?)
     ORDER BY e.position`,
    most,
    most,
    most,
  )
  return rows.map(unpublishedEntry)
}

function frontsOf(entries: string, state: 'pending' | 'parked'): string {
  return `SELECT s.position FROM partitions p CROSS JOIN ${entries} s ON s.position IN (
         SELECT position FROM ${entries} WHERE state = '${state}' AND partition = p.n ORDER BY position LIMIT ?)`
}

function unpublishedEntry(row: Row): OutboxEntry {
  return { ...contentOf(row), partition: integerOf(row, 'partition'), published: false, publishedAt: null }
}

/** `OutboxSource.markPublished`: under no lease, so for one relay at a time. */
export function* markPublished(names: TableNames, ids: readonly string[]): Steps<void> {
  const rows = yield* query(
    `UPDATE ${names.entries} SET state = 'published', settled_at = ${nowMs}, crashes = 0, reason = NULL
     WHERE id IN (SELECT value FROM json_each(?)) AND ${isPending}
     RETURNING aggregate_type, aggregate_id`,
    idList(ids),
  )
  yield* dropIdleAggregates(names, rows.map(aggregateOf))
}

/** `LeasedSource.stats`. Plan: three indexes alone, each of them small; rows only for the oldest of each partition. */
export function* stats({ entries }: TableNames): Steps<StoreStats> {
  const rows = yield* query(
    `SELECT partition, pending, dead, ${nowMs} - (SELECT enqueued_at FROM ${entries} WHERE position = oldest) AS age
     FROM (
       SELECT partition, sum(pending) AS pending, sum(dead) AS dead, min(oldest) AS oldest
       FROM (
         SELECT partition, count(*) AS pending, 0 AS dead, min(position) AS oldest
         FROM ${entries} WHERE state = 'pending' GROUP BY partition
         UNION ALL
         SELECT partition, count(*), 0, min(position) FROM ${entries} WHERE state = 'parked' GROUP BY partition
         UNION ALL
         SELECT partition, 0, count(*), NULL FROM ${entries} WHERE state = 'dead' GROUP BY partition)
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
export function* purgeSome({ entries }: TableNames, olderThanMs: number, limit: number): Steps<number> {
  const rows = yield* query(
    `DELETE FROM ${entries} WHERE position IN (
       SELECT position FROM ${entries}
       WHERE state IN ('published', 'discarded') AND settled_at <= ${nowMs} - ?
       ORDER BY settled_at LIMIT ?)
     RETURNING 1`,
    olderThanMs,
    limit,
  )
  return rows.length
}
