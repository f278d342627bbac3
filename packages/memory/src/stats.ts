import type { PartitionStats, StoreStats } from '@outbox/core'
import type { Row, State } from './state.ts'

/** `LeasedSource.stats`: counts, and the age of the oldest pending entry, in all and per partition. */
export function stats(state: State): StoreStats {
  const byPartition = new Map<number, Row[]>()
  for (const row of state.rows.values()) {
    if (row.state.kind !== 'pending' && row.state.kind !== 'dead') continue
    const rows = byPartition.get(row.entry.partition)
    if (rows) rows.push(row)
    else byPartition.set(row.entry.partition, [row])
  }
  const now = state.clock.monotonic()
  return {
    ...count([...byPartition.values()].flat(), now),
    partitions: [...byPartition]
      .map(([partition, rows]) => ({ partition, ...count(rows, now) }))
      .sort((a, b) => a.partition - b.partition),
  }
}

function count(rows: readonly Row[], now: number): Omit<PartitionStats, 'partition'> {
  const pending = rows.filter(({ state }) => state.kind === 'pending')
  const oldest = pending.reduce((least, { enqueuedAt }) => Math.min(least, enqueuedAt), now)
  return {
    pending: pending.length,
    dead: rows.length - pending.length,
    oldestPendingAgeMs: pending.length === 0 ? null : now - oldest,
  }
}
