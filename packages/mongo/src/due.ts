import { partitionCount } from '@outbox/core'
import type { Context } from './context.ts'
import {
  back,
  distinctAggregates,
  fronts,
  holds,
  isBackBy,
  type Met,
  partitionsInScan,
  partitionsWith,
} from './fronts.ts'
import { isFullNow } from './full.ts'

const all: readonly number[] = Array.from({ length: partitionCount }, (_, partition) => partition)

/** How far a poll looks into a partition for something that is due. */
const window = 1_000

/**
 * Partitions that have something due, ascending.
 *
 * At rest, and as long as nothing waits and nothing is blocked, it reads the beginnings of two indexes. Only of partitions
 * with something in the scan, or back, it asks whether there are holds, and looks into those that have both. Of a backlog
 * that this process is draining it reads nothing.
 */
export async function duePartitions({ database, names, full }: Context, now: Date): Promise<readonly number[]> {
  const { entries } = names
  const known = all.filter((partition) => isFullNow(full, partition))
  const unknown = all.filter((partition) => !known.includes(partition))
  const [fresh, returned] = await Promise.all([
    partitionsInScan(database, entries, unknown),
    back(database, all, now, window),
  ])
  const concerned = [...new Set([...fresh, ...returned.map(({ partition }) => partition)])]
  const withHolds = new Set(await partitionsWith(database, entries, concerned, { holdsUntil: { $gt: now } }))
  const due = new Set([...known, ...fresh.filter((partition) => !withHolds.has(partition))])
  const doubtful = fresh.filter((partition) => withHolds.has(partition))
  const met = [...(await fronts(database, entries, doubtful, window)), ...returned]
  const closed = await holds(database, distinctAggregates(met.filter(({ partition }) => withHolds.has(partition))), now)
  for (const { partition, key } of met) if (!closed.has(key)) due.add(partition)
  // a window full of entries that wait hides what stands behind it, until a fetch has set them aside
  for (const partition of doubtful) if (isFull(met, partition)) due.add(partition)
  const hidden = returned.length >= window ? await partitionsWith(database, entries, all, isBackBy(now)) : []
  for (const partition of hidden) due.add(partition)
  return [...due].sort((a, b) => a - b)
}

function isFull(met: readonly Met[], partition: number): boolean {
  return met.filter((entry) => entry.partition === partition && !entry.isBack).length >= window
}
