import type { Clock, PartitionStats } from '@outbox/core'
import type { Relay } from './relay.ts'

/** A partition with something pending. */
interface Pending extends PartitionStats {
  /** the look, by our clock, since when nothing of it was seen to be published, and none of it to die or be revived */
  readonly since: number
}

/** What one look at the partitions showed. */
export interface Stillness {
  /** the partitions that stand still */
  readonly stalled: readonly PartitionStats[]
  /** for how long nothing has left any of them, as far as was seen */
  readonly stillForMs: number
  readonly oldestPendingAgeMs: number
  /** the looks before did not show it */
  readonly isNews: boolean
}

/**
 * Compares what is pending with what a relay publishes and gives up, for as long as the relay lives.
 *
 * @param afterMs - how old a pending entry may be, and for how long nothing may leave its partition
 * @returns looks at the partitions as the store shows them now, and leaves those aside that other relays hold
 */
export function stillnessOf(
  relay: Pick<Relay, 'on'>,
  clock: Clock,
  afterMs: number,
): (partitions: readonly PartitionStats[], heldElsewhere: readonly number[]) => Stillness {
  let seen = new Map<number, Pending>()
  /** troubles that are no news any more */
  let told = new Set<number>()
  relay.on('published', ({ entries }) => entries.map(({ lease }) => seen.delete(lease.partition)))

  return (partitions, heldElsewhere) => {
    const now = clock.monotonic()
    const pending = partitions
      .filter((one) => one.pending > 0 && !heldElsewhere.includes(one.partition))
      .map((one): Pending => {
        const before = seen.get(one.partition)
        return { ...one, since: before?.dead === one.dead ? before.since : now }
      })
    seen = new Map(pending.map((one) => [one.partition, one]))
    const overdue = pending.filter((one) => ageOf(one) >= afterMs)
    const stalled = overdue.filter(({ since }) => now - since >= afterMs)
    const isTold = (one: Pending): boolean => told.has(troubleOf(one))
    const isNews = !stalled.every(isTold)
    // others may leave past what waits behind a dead letter: that ends nothing
    told = new Set(overdue.filter((one) => stalled.includes(one) || (one.dead > 0 && isTold(one))).map(troubleOf))
    return {
      stalled,
      stillForMs: Math.min(...stalled.map(({ since }) => now - since)),
      oldestPendingAgeMs: Math.max(...stalled.map(ageOf)),
      isNews,
    }
  }
}

function ageOf({ oldestPendingAgeMs }: PartitionStats): number {
  return oldestPendingAgeMs ?? 0
}

/** All partitions that stand still are one trouble, those with dead letters aside: each of them may have its own. */
function troubleOf({ partition, dead }: PartitionStats): number {
  return dead > 0 ? partition : -1
}
