/**
 * Time as the relay sees it, so that it runs under a simulated clock unchanged.
 *
 * Deadlines and expiry are measured on `monotonic` alone: no promise rests on anybody's wall clock.
 */
export interface Clock {
  /** milliseconds that never go back, from an arbitrary start */
  monotonic(): number
  /** Calls back once, `delayMs` from now, as soon as possible if that is negative; the returned function cancels it. */
  schedule(callback: () => void, delayMs: number): () => void
}

/** The machine's own clock. */
export const systemClock: Clock = Object.freeze({
  monotonic: () => performance.now(),
  schedule: (callback: () => void, delayMs: number) => {
    const timer = setTimeout(callback, Math.max(delayMs, 0)) // Node warns of a negative one
    return () => clearTimeout(timer)
  },
})
