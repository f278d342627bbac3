import { setTimeout as delay } from 'node:timers/promises'

export interface WaitForOptions {
  /** ends the sentence "waited N ms for …" */
  readonly what: string
  /** milliseconds, default 120,000 */
  readonly timeoutMs?: number
  /** milliseconds between two looks, default 20 */
  readonly intervalMs?: number
}

/**
 * Waits until `condition` gives something other than `false`, `null` or `undefined`, and returns that.
 *
 * The condition is asked again only when its last answer is in. What it throws ends the wait at once: a condition
 * that may fail for a while says so by catching.
 *
 * @throws {Error} when the time is over, naming what was waited for and the last answer
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { what, timeoutMs = 120_000, intervalMs = 20 }: WaitForOptions,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const answer = await condition()
    if (isThere(answer)) return answer
    if (performance.now() >= deadline) {
      throw new Error(`waited ${timeoutMs} ms for ${what}; the last answer was ${String(answer)}`)
    }
    await delay(intervalMs)
  }
}

function isThere<T>(answer: T): answer is Exclude<T, false | null | undefined> {
  return answer !== false && answer !== null && answer !== undefined
}
