/**
 * Partitions of which the last look did not see the end, and when that was, in milliseconds of the process's clock.
 *
 * A look at such a partition begins with what stands first in it, and a poll need not ask whether something is due.
 */
export type FullPartitions = Map<number, number>

/** So long a partition that was full counts as due: another relay may drain it meanwhile. */
const trustMs = 2_000

export function noteFull(full: FullPartitions, looked: readonly number[], found: ReadonlySet<number>): void {
  for (const partition of looked) {
    if (found.has(partition)) full.set(partition, performance.now())
    else full.delete(partition)
  }
}

export function isFullNow(full: FullPartitions, partition: number): boolean {
  const seenAt = full.get(partition)
  return seenAt !== undefined && performance.now() - seenAt < trustMs
}
