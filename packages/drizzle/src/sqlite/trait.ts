import type { OutboxEntry, PartitionStats, StoreStats } from '@outbox/core'
import { statsOf } from '../shared/stats.ts'
import { aggregateOf, dropIdleAggregates } from './aggregates.ts'
import { contentColumns, contentOf, entryAt } from './content.ts'
import { idList } from './dead-letters.ts'
import type { TableNames } from './names.ts'
import { becomePublished } from './pending.ts'
import { integerOf, integerOrNullOf, textOf } from './rows.ts'
import { nowMs, rowLimit, wholeAge } from './sql.ts'
import { query, type Row, type Steps } from './steps.ts'

/** `OutboxSource.fetchUnpublished`. Plan: `pending` is in the order of positions. */
export function* fetchUnpublished(names: TableNames, limit: number): Steps<readonly OutboxEntry[]> {
  const rows = yield* query(
    `SELECT ${contentColumns} FROM ${names.pending} p NOT INDEXED ${entryAt(names, 'p.position')}
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
  const { entries, entriesById, pending } = names
  const rows = yield* query(
    `SELECT e.position, e.aggregate_type, e.aggregate_id FROM ${entries} e INDEXED BY ${entriesById}
     WHERE e.id IN (SELECT value FROM json_each(?))
       AND (SELECT position FROM ${pending} WHERE position = e.position) IS NOT NULL`,
    idList(ids),
  )
  yield* becomePublished(
    names,
    rows.map((row) => integerOf(row, 'position')),
  )
  yield* dropIdleAggregates(names, rows.map(aggregateOf))
}

/** `LeasedSource.stats`. Plan: two indexes alone; rows only for the oldest of each partition. */
export function* stats(names: TableNames): Steps<StoreStats> {
  const { entries, pending, pendingScan, settled, settledDead } = names
  const rows = yield* query(
    `SELECT partition, pending, dead, ${nowMs} - (SELECT enqueued_at FROM ${entries} WHERE position = oldest) AS age
     FROM (
       SELECT partition, sum(pending) AS pending, sum(dead) AS dead, min(oldest) AS oldest
       FROM (
         SELECT partition, count(*) AS pending, 0 AS dead, min(position) AS oldest
         FROM ${pending} INDEXED BY ${pendingScan} GROUP BY partition
         UNION ALL
         SELECT partition, 0, count(*), NULL
         FROM ${settled} INDEXED BY ${settledDead} WHERE outcome = 'dead' GROUP BY partition)
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

/** One step of `LeasedSource.purge`. Plan: the index of published and discarded entries by time, up to the last found. */
export function* purgeSome(names: TableNames, olderThanMs: number, limit: number): Steps<number> {
  const { entries, entriesById, settled, settledTime } = names
  const rows = yield* query(
    `SELECT position, settled_at, (SELECT id FROM ${entries} e WHERE e.position = s.position) AS id
     FROM ${settled} s INDEXED BY ${settledTime}
     WHERE outcome IN ('published', 'discarded') AND settled_at <= ${nowMs} - ?
     ORDER BY settled_at LIMIT ?`,
    wholeAge(olderThanMs),
    limit,
  )
  const last = rows.at(-1)
  if (!last) return 0
  yield* query(
    `DELETE FROM ${settled} INDEXED BY ${settledTime}
     WHERE outcome IN ('published', 'discarded') AND settled_at <= ?
       AND +position IN (SELECT value FROM json_each(?))`,
    integerOf(last, 'settled_at'),
    JSON.stringify(rows.map((row) => integerOf(row, 'position'))),
  )
  yield* query(
    `DELETE FROM ${entries} INDEXED BY ${entriesById} WHERE id IN (SELECT value FROM json_each(?))`,
    idList(rows.map((row) => textOf(row, 'id'))),
  )
  return rows.length
}
