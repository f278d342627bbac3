import { expect, test } from 'vitest'
import { systemClock } from '../src/index.ts'

test('the monotonic clock never goes back, and advances over a scheduled delay', async () => {
  const before = systemClock.monotonic()
  await new Promise<void>((resolve) => {
    systemClock.schedule(resolve, 5)
  })
  // a timer may fire up to a millisecond early, as its own clock is coarser
  expect(systemClock.monotonic() - before).toBeGreaterThanOrEqual(4)
})

test('what is scheduled and taken back is never called', async () => {
  const called: string[] = []
  const takeBack = systemClock.schedule(() => called.push('taken back'), 1)
  const done = new Promise<void>((resolve) => {
    systemClock.schedule(() => {
      called.push('kept')
      resolve()
    }, 2)
  })
  takeBack()
  await done
  expect(called).toEqual(['kept'])
})

test('what is due already is called soon, and no warning comes of it', async () => {
  const warnings: Error[] = []
  const note = (warning: Error): void => void warnings.push(warning)
  process.on('warning', note)
  try {
    await new Promise<void>((resolve) => {
      systemClock.schedule(resolve, -0.024)
    })
  } finally {
    process.off('warning', note)
  }
  expect(warnings).toEqual([])
})
