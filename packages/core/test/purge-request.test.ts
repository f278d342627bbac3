import { expect, test } from 'vitest'
import { checkedPurge } from '../src/adapter/index.ts'

test('a purge takes an age and a limit, endless ones too', () => {
  for (const olderThanMs of [0, 1, 7 * 86_400_000, Infinity]) {
    for (const limit of [1, 1_000, Infinity])
      expect(checkedPurge({ olderThanMs, limit })).toEqual({ olderThanMs, limit })
  }
})

test('it refuses a time in the place of an age, which would keep everything for ever', () => {
  const olderThanMs = Date.now() - 7 * 86_400_000
  expect(() => checkedPurge({ olderThanMs, limit: 10 })).toThrow('write an age in milliseconds, not a time')
})
