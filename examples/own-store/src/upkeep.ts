import type { SQLTagStore } from 'node:sqlite'
import type { LeasedSource, OutboxEntry, StoreStats } from '@outbox/core'
import { lentContent, number, rowLimit } from './rows.ts'

/** `OutboxSource.fetchUnpublished` */
export function fetchUnpublished(sql: SQLTagStore, limit: number): readonly OutboxEntry[] {
  const rows = sql.all`SELECT * FROM outbox_entries WHERE state = 'pending' ORDER BY position LIMIT ${limit}`
  return rows.map((row) => {
    const { attempt, crashes, deduplicationId, ...content } = lentContent(row)
    return { ...content, partition: number(row, 'partition'), published: false, publishedAt: null }
  })
}

export function stats(sql: SQLTagStore): StoreStats {
  const rows = sql.all`
    SELECT partition, sum(pending) AS pending, sum(NOT pending) AS dead, max(0, max(age) FILTER (WHERE pending)) AS age
    FROM (
      SELECT partition, true AS pending, unixepoch('subsec') * 1000 - enqueued_at AS age
      FROM outbox_entries WHERE state = 'pending'
      UNION ALL
      SELECT partition, false, 0 FROM outbox_entries WHERE state = 'dead')
    GROUP BY partition ORDER BY partition`
  const partitions = rows.map((row) => ({
    partition: number(row, 'partition'),
    pending: number(row, 'pending'),
    dead: number(row, 'dead'),
    oldestPendingAgeMs: row['age'] === null ? null : number(row, 'age'),
  }))
  const ages = partitions.flatMap(({ oldestPendingAgeMs }) => oldestPendingAgeMs ?? [])
  return {
    pending: partitions.reduce((sum, { pending }) => sum + pending, 0),
    dead: partitions.reduce((sum, { dead }) => sum + dead, 0),
    oldestPendingAgeMs: ages.length === 0 ? null : Math.max(...ages),
    partitions,
  }
}

export function purge(sql: SQLTagStore, { olderThanMs, limit }: Parameters<LeasedSource['purge']>[0]): number {
  const { changes } = sql.run`
    DELETE FROM outbox_entries WHERE position IN (
      SELECT position FROM outbox_entries
      WHERE state IN ('published', 'discarded') AND settled_at <= unixepoch('subsec') * 1000 - ${olderThanMs}
      ORDER BY settled_at LIMIT ${rowLimit(limit)})`
  return Number(changes)
}
