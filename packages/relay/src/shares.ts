import { type LeaseState, partitionCount } from '@outbox/core'

/** The partitions that are a relay's by right: those from `first` on, `size` of them. */
export interface Share {
  readonly first: number
  readonly size: number
}

/**
 * The share of the relay at `rank` among `relays` live ones: sizes differ by one at most, the lower ranks have the
 * larger. Every relay computes the same shares from the same members, so nothing is negotiated and nothing thrashes.
 */
export function shareOf(rank: number, relays: number): Share {
  const size = Math.floor(partitionCount / relays)
  const larger = partitionCount % relays
  return { first: rank * size + Math.min(rank, larger), size: size + (rank < larger ? 1 : 0) }
}

/** Partitions in the order in which their owner wants them: its own range first, so that relays claim different ones. */
export function inPreferredOrder<Item extends { readonly partition: number }>(
  items: readonly Item[],
  share: Share,
): readonly Item[] {
  const distance = ({ partition }: Item): number => (partition - share.first + partitionCount) % partitionCount
  return [...items].sort((a, b) => distance(a) - distance(b))
}

/** Leases that anybody may claim: unheld, or held by one who is not among the `live` relays. */
export function freeLeases(leases: readonly LeaseState[], live: readonly string[]): readonly LeaseState[] {
  return leases.filter(({ holder }) => !live.includes(holder ?? ''))
}
