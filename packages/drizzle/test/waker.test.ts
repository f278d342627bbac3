import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createWaker } from '../src/sqlite/wake.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('each of several transactions that are open at once wakes those who wait when it is over', async () => {
  const waker = createWaker()
  let wakes = 0
  waker.subscribe(() => (wakes += 1))
  const open = new Set(['first', 'second'])
  const [first, second] = [{}, {}]
  waker.wakeAfter(first, () => open.has('first'))
  await vi.advanceTimersByTimeAsync(2)
  waker.wakeAfter(second, () => open.has('second'))
  open.delete('first')
  await vi.advanceTimersByTimeAsync(20)
  expect(wakes).toBe(1)
  open.delete('second')
  await vi.advanceTimersByTimeAsync(20)
  expect(wakes).toBe(2)
  expect(vi.getTimerCount()).toBe(0)
})

test('one that stays open for long is left to polling', async () => {
  const waker = createWaker()
  let wakes = 0
  waker.subscribe(() => (wakes += 1))
  waker.wakeAfter({}, () => true)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(wakes).toBe(1)
  expect(vi.getTimerCount()).toBe(0)
})
