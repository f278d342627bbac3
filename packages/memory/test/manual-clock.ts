import type { Clock } from '@outbox/core'

/** A clock that stands still until it is told to go on. */
export function manualClock(): Clock & { advance(ms: number): void } {
  let time = 1000
  return {
    monotonic: () => time,
    schedule: () => {
      throw new Error('the memory store sets no timers')
    },
    advance(ms) {
      time += ms
    },
  }
}
