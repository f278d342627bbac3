export interface RetryOptions {
  /** tries that the broker refused before an entry is a dead letter, default 10; outages do not count */
  readonly maxAttempts?: number
  /** default 100 ms */
  readonly minDelayMs?: number
  /** default 60,000 ms */
  readonly maxDelayMs?: number
}

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
export function retryHorizonMs(retry: Required<RetryOptions>): number {
  let total = 0
  let attempt = 1
  for (; attempt < retry.maxAttempts && ceilingMs(attempt, retry) < retry.maxDelayMs; attempt++) {
    total += ceilingMs(attempt, retry)
  }
  // all further waits are the longest: not counted one by one, since `maxAttempts` may be as good as infinite
  return Math.min(total + (retry.maxAttempts - attempt) * retry.maxDelayMs, Number.MAX_SAFE_INTEGER)
}

function ceilingMs(attempt: number, range: { readonly minDelayMs: number; readonly maxDelayMs: number }): number {
  return Math.min(range.maxDelayMs, range.minDelayMs * 2 ** Math.min(attempt - 1, 52))
}
