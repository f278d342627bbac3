export interface RetryOptions {
  /** tries that the broker refused before an entry is a dead letter, default 10; outages do not count */
  readonly maxAttempts?: number | undefined
  /** default 100 ms */
  readonly minDelayMs?: number | undefined
  /** default 60,000 ms */
  readonly maxDelayMs?: number | undefined
}

/** The options with every default filled in. */
export type RetryRules = { readonly [Name in keyof RetryOptions]-?: number }

/**
 * Milliseconds to wait after the `attempt`-th try (from 1): capped exponential with full jitter, so that entries
 * which failed together do not come back together. Never 0: an immediate retry would only meet the same broker.
 */
export function backoffMs(
  attempt: number,
  range: { readonly minDelayMs: number; readonly maxDelayMs: number },
  random: () => number,
): number {
  return Math.max(1, Math.round(ceilingMs(attempt, range) * random()))
}

/** How long after its first try an entry may be sent again, outages left aside: what a dedupe window must exceed. */
export function retryHorizonMs(retry: RetryRules): number {
  let total = 0
  let attempt = 1
  for (; attempt < retry.maxAttempts && ceilingMs(attempt, retry) < retry.maxDelayMs; attempt++) {
    total += ceilingMs(attempt, retry)
  }
  // all further waits are the longest: not counted one by one, since `maxAttempts` may be as good as infinite
  return Math.min(total + (retry.maxAttempts - attempt) * retry.maxDelayMs, Number.MAX_SAFE_INTEGER)
}

/** Retries that are due this close to each other, in milliseconds, share a wake-up. */
const wakeGrainMs = 10

/** When to wake for a retry: up to 10 ms after it is due, after waits above a second up to a fiftieth of the wait. */
export function wakeAt(now: number, retryInMs: number): number {
  // in powers of two, so that however many wait, they share few wake-ups
  const grainMs = wakeGrainMs * 2 ** Math.max(0, Math.ceil(Math.log2(retryInMs / 1_000)))
  return Math.ceil((now + retryInMs) / grainMs) * grainMs
}

function ceilingMs(attempt: number, range: { readonly minDelayMs: number; readonly maxDelayMs: number }): number {
  return Math.min(range.maxDelayMs, range.minDelayMs * 2 ** Math.min(attempt - 1, 52))
}
