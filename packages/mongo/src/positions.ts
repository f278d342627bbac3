/** Entries of one process and millisecond that keep their order among each other. */
const perMillisecond = 1024

/**
 * Gives entries the order in which they came, by the server's clock: it decides which aggregates come first, and never
 * the order within one. Ascends strictly within one outbox of a process; those of two processes may be equal.
 *
 * Exact until the year 2248.
 */
export function newPositions(): (now: Date) => number {
  let last = 0
  return (now) => {
    last = Math.max(last + 1, now.getTime() * perMillisecond)
    return last
  }
}

/** When, in milliseconds since 1970, an entry with that position was enqueued. */
export function enqueuedAtMs(position: number): number {
  return position / perMillisecond
}
