import type { PartitionStats, StoreStats } from '@outbox/core'

/** The stats of a store from those of its partitions, ascending. */
export function statsOf(partitions: readonly PartitionStats[]): StoreStats {
  const ages = partitions.flatMap(({ oldestPendingAgeMs }) => oldestPendingAgeMs ?? [])
  return {
    pending: partitions.reduce((sum, { pending }) => sum + pending, 0),
    dead: partitions.reduce((sum, { dead }) => sum + dead, 0),
    oldestPendingAgeMs: ages.length === 0 ? null : Math.max(...ages),
    partitions,
  }
}
