/** What the relay did since it was made; whole numbers that only grow. */
export interface Counters {
  published: number
  /** published entries that the broker had already */
  duplicates: number
  /** entries made to wait, for whatever reason */
  retried: number
  dead: number
  /** entries about which this relay's word came too late */
  settlesRefused: number
}

export function newCounters(): Counters {
  return { published: 0, duplicates: 0, retried: 0, dead: 0, settlesRefused: 0 }
}

/** Entries that got somewhere; who sees it grow knows that something moves. */
export function progressOf({ published, retried, dead }: Readonly<Counters>): number {
  return published + retried + dead
}
