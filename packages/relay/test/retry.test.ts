import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { backoffMs, retryHorizonMs } from '../src/retry.ts'

const ranges = fc
  .tuple(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: 1_000_000 }))
  .map(([minDelayMs, more]) => ({ minDelayMs, maxDelayMs: minDelayMs + more }))
const attempts = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }))
const chances = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

describe('the backoff', () => {
  test('is never 0, never above the cap, never above its exponential ceiling', () => {
    fc.assert(
      fc.property(attempts, ranges, chances, (attempt, range, chance) => {
        const delay = backoffMs(attempt, range, () => chance)
        expect(Number.isInteger(delay)).toBe(true)
        expect(delay).toBeGreaterThanOrEqual(1)
        expect(delay).toBeLessThanOrEqual(range.maxDelayMs)
        expect(delay).toBeLessThanOrEqual(range.minDelayMs * 2 ** Math.min(attempt - 1, 60))
      }),
    )
  })

  test('uses its whole range: full jitter', () => {
    const range = { minDelayMs: 100, maxDelayMs: 60_000 }
    expect(backoffMs(4, range, () => 0)).toBe(1)
    expect(backoffMs(4, range, () => 0.5)).toBe(400)
    expect(backoffMs(4, range, () => 0.999_99)).toBe(800)
    expect(backoffMs(400, range, () => 0.5)).toBe(30_000)
  })
})

describe('the retry horizon', () => {
  test('is the sum of the longest waits between the first try and the last', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 80 }), ranges, (maxAttempts, range) => {
        let sum = 0
        for (let attempt = 1; attempt < maxAttempts; attempt++) sum += longestWait(attempt, range)
        expect(retryHorizonMs({ maxAttempts, ...range })).toBeCloseTo(sum, 3)
      }),
    )
  })

  test('is known at once for attempts without end, and is a safe number', () => {
    const forever = { maxAttempts: Number.MAX_SAFE_INTEGER, minDelayMs: 100, maxDelayMs: 60_000 }
    expect(retryHorizonMs(forever)).toBe(Number.MAX_SAFE_INTEGER)
  })
})

function longestWait(attempt: number, range: { readonly minDelayMs: number; readonly maxDelayMs: number }): number {
  return Math.min(range.maxDelayMs, range.minDelayMs * 2 ** (attempt - 1))
}
