/** So many parked entries at once that others may still be hidden behind what waits. */
const manyParked = 500
/** Rounds of a fetch that has something to lend, at most. */
const roundsWithEntries = 4
/** How long a fetch with nothing to lend goes on, in milliseconds: a relay takes a store that does not answer in some seconds for unavailable. */
const emptyHandedMs = 2000

/** What a round of a fetch put out of the way of the next. */
export interface Cleared {
  /** entries of aggregates that wait */
  readonly parked: number
  /** whether it was anything: such entries, or rows that represent none any more */
  readonly hasCleared: boolean
}

interface Round extends Cleared {
  /** from 1 on */
  readonly round: number
  /** when the fetch did, by `performance.now()` */
  readonly began: number
  /** entries */
  readonly lent: number
}

/**
 * Whether a fetch looks no further after a round.
 *
 * What was cleared away can have hidden others behind it: then it looks again. What a former round lent is in the next
 * one too, as nothing was published meanwhile. A fetch that stops for the time it took is called again: as long as
 * something may still be hidden, `poll` tells the partition as due.
 */
export function isEnough({ round, began, lent, parked, hasCleared }: Round): boolean {
  if (lent > 0) return parked < manyParked || round >= roundsWithEntries
  return !hasCleared || performance.now() - began >= emptyHandedMs
}
