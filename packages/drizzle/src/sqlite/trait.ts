import type { OutboxEntry, StoreStats } from '@outbox/core'
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
 * Plan: no index has all pending entries by position, so the oldest of every partition and of every aggregate with a
 * row of its own are put together, and the oldest of those are taken.
 */
export function* fetchUnpublished(names: TableNames, limit: number): Steps<readonly OutboxEntry[]> {
  const { entries, aggregates } = names
  const most = rowLimit(limit)
  const rows = yield* query(
    `WITH RECURSIVE partitions (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM partitions WHERE n < 63)
     SELECT ${contentColumns} FROM ${entries} e WHERE e.position IN (
         SELECT s.position FROM partitions p CROSS JOIN ${entries} s ON s.position IN (
           SELECT position FROM ${entries} WHERE state = 'pending' AND partition = p.n ORDER BY position LIMIT ?)
         UNION ALL
         SELECT o.position FROM ${aggregates} a CROSS JOIN ${entries} o ON o.position IN (
           SELECT position FROM ${entries}
           WHERE aggregate_type = a.aggregate_type AND aggregate_id = a.aggregate_id AND ${isPending}
           ORDER BY sequence LIMIT ?))
     ORDER BY e.position LIMIT ?`,
    most,
    most,
    most,
  )
  return rows.map(unpublishedEntry)
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

/** `LeasedSource.stats`. Plan: counts and oldest position come from the order index alone. */
export function* stats({ entries }: TableNames): Steps<StoreStats> {
  const [row] = yield* query(
    `SELECT pending, dead, ${nowMs} - (SELECT enqueued_at FROM ${entries} WHERE position = oldest) AS age
     FROM (SELECT count(*) AS pending, min(position) AS oldest FROM ${entries} WHERE ${isPending}),
          (SELECT count(*) AS dead FROM ${entries} WHERE state = 'dead')`,
  )
  if (!row) return { pending: 0, dead: 0, oldestPendingAgeMs: null }
  const age = integerOrNullOf(row, 'age')
  return {
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
