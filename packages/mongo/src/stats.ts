import type { CallOptions, PartitionStats, StoreStats } from '@outbox/core'
import { type Context, under } from './context.ts'
import { enqueuedAtMs } from './positions.ts'
import { type Document, numberIn } from './values.ts'

/** What each index begins with, as all of its entries have it: a partial index is used only where its first key is named. */
const isPending: Document = Object.freeze({ state: 'pending', aggregate: { $gte: {} } })
const isDead: Document = Object.freeze({ state: 'dead', position: { $gte: 0 } })

/** `LeasedSource.stats`. Plan: all of `order` and of `dead`, so what has ended costs nothing. */
export async function stats(context: Context, call?: CallOptions): Promise<StoreStats> {
  const { database } = under(context, call)
  const count = (state: Document): Promise<readonly Document[]> =>
    database.aggregate('entries', [
      { $match: state },
      { $group: { _id: '$partition', count: { $sum: 1 }, oldest: { $min: '$position' } } },
    ])
  const [now, pending, dead] = await Promise.all([database.now(), count(isPending), count(isDead)])
  const partitions = new Map<number, PartitionStats>()
  for (const group of pending) {
    const partition = numberIn(group, '_id')
    // never below 0, even if the server's clock was set back
    const oldestPendingAgeMs = Math.max(0, now.getTime() - enqueuedAtMs(numberIn(group, 'oldest')))
    partitions.set(partition, { partition, pending: numberIn(group, 'count'), dead: 0, oldestPendingAgeMs })
  }
  for (const group of dead) {
    const partition = numberIn(group, '_id')
    const known = partitions.get(partition) ?? { partition, pending: 0, oldestPendingAgeMs: null }
    partitions.set(partition, { ...known, dead: numberIn(group, 'count') })
  }
  return statsOf([...partitions.values()].sort((a, b) => a.partition - b.partition))
}

function statsOf(partitions: readonly PartitionStats[]): StoreStats {
  const ages = partitions.flatMap(({ oldestPendingAgeMs }) => oldestPendingAgeMs ?? [])
  return {
    pending: partitions.reduce((sum, { pending }) => sum + pending, 0),
    dead: partitions.reduce((sum, { dead }) => sum + dead, 0),
    oldestPendingAgeMs: ages.length === 0 ? null : Math.max(...ages),
    partitions,
  }
}
