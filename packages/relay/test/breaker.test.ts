import { OutboxError, type Publisher } from '@outbox/core'
import { memoryOutbox } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { Breaker } from '../src/breaker.ts'
import { Emitter } from '../src/events.ts'
import { settingsFrom } from '../src/options.ts'
import { Journal } from './journal.ts'
import { ManualClock, settled } from './manual-clock.ts'

const error = new OutboxError('unavailable', 'no connection', { system: 'broker' })

interface Given {
  readonly leaseMs?: number
  readonly pollIntervalMs?: number
  readonly publishTimeoutMs?: number
  readonly random?: () => number
}

class Destination {
  readonly clock: ManualClock = new ManualClock()
  readonly journal: Journal = new Journal()
  readonly probedAt: number[] = []
  readonly abort: AbortController = new AbortController()
  answer: 'yes' | 'no' | 'never' = 'no'
  closed = 0
  readonly breaker: Breaker

  constructor(hasProbe: boolean, given: Given = {}) {
    const publisher: Publisher = {
      name: 'broker',
      capabilities: { keepsOrderInBatch: true },
      publish: async () => [],
      ...(hasProbe ? { probe: () => this.#probe() } : {}),
    }
    this.breaker = new Breaker(publisher, {
      settings: settingsFrom({ store: memoryOutbox(), publisher, clock: this.clock, random: () => 0.5, ...given }),
      events: new Emitter(this.journal.on),
      abort: this.abort.signal,
      over: new AbortController().signal,
      onClose: () => void this.closed++,
    })
  }

  async #probe(): Promise<void> {
    this.probedAt.push(this.clock.monotonic())
    if (this.answer === 'never') await new Promise(() => undefined)
    if (this.answer === 'no') throw error
  }
}

describe('a breaker before a destination that can be probed', () => {
  test('stays closed when the probe answers: the failure was not the destination', async () => {
    const destination = new Destination(true)
    destination.answer = 'yes'
    expect(await destination.breaker.openIfAway(error, true)).toBe(false)
    expect(destination.breaker.isOpen).toBe(false)
    expect(destination.journal.names).toEqual([])
    expect(destination.clock.pending).toBe(0)
  })

  test('opens when it does not, and closes when it does: each is told once, by several lanes too', async () => {
    const destination = new Destination(true)
    const { breaker, clock, journal } = destination
    const answers = await Promise.all([1, 2, 3].map(() => breaker.openIfAway(error, false)))
    expect(answers).toEqual([true, true, true])
    expect(clock.pending).toBe(1)
    await clock.advance(60_000)
    expect(journal.of('destinationDown')).toEqual([{ destination: 'broker', error }])
    destination.answer = 'yes'
    await clock.advance(5_000)
    expect(breaker.isOpen).toBe(false)
    expect(journal.names).toEqual(['destinationDown', 'destinationUp'])
    expect(destination.closed).toBe(1)
    expect(clock.pending).toBe(0)
  })

  test('probes once in a short lease at least: the end of an outage is noticed as soon as a death', async () => {
    const destination = new Destination(true, { leaseMs: 3_000, pollIntervalMs: 750, publishTimeoutMs: 1_000 })
    await destination.breaker.openIfAway(error, false)
    await destination.clock.advance(30_000)
    const gaps = destination.probedAt.slice(1).map((at, i) => at - (destination.probedAt[i] ?? 0))
    expect(gaps.slice(0, 8)).toEqual([50, 100, 200, 400, 800, 1_000, 1_000, 1_000])
  })

  test('so it does where each probe hangs until its time is over', async () => {
    const destination = new Destination(true, {
      leaseMs: 3_000,
      pollIntervalMs: 750,
      publishTimeoutMs: 1_000,
      random: () => 1,
    })
    destination.answer = 'never'
    void destination.breaker.openIfAway(error, false)
    await destination.clock.advance(30_000)
    const gaps = destination.probedAt.slice(1).map((at, i) => at - (destination.probedAt[i] ?? 0))
    expect(gaps.slice(0, 8)).toEqual([1_100, 1_200, 1_400, 1_800, 2_600, 3_000, 3_000, 3_000])
  })

  test('nor more often than twice a second or so, where a publish may take nearly the whole lease', async () => {
    const destination = new Destination(true, { leaseMs: 10_000, pollIntervalMs: 50, publishTimeoutMs: 9_900 })
    await destination.breaker.openIfAway(error, false)
    await destination.clock.advance(30_000)
    const gaps = destination.probedAt.slice(1).map((at, i) => at - (destination.probedAt[i] ?? 0))
    expect(gaps.slice(0, 6)).toEqual([50, 100, 200, 250, 250, 250])
  })

  test('probes ever less often, every 5 seconds at least', async () => {
    const destination = new Destination(true)
    await destination.breaker.openIfAway(error, false)
    await destination.clock.advance(60_000)
    const gaps = destination.probedAt.slice(1).map((at, i) => at - (destination.probedAt[i] ?? 0))
    expect(gaps.slice(0, 8)).toEqual([50, 100, 200, 400, 800, 1_600, 2_500, 2_500])
  })

  test('takes a probe without an answer for none, and says when the next one is', async () => {
    const destination = new Destination(true)
    const { breaker, clock } = destination
    destination.answer = 'never'
    expect(await clock.advanceUntilSettled(breaker.openIfAway(error, false))).toBe(true)
    expect(clock.monotonic()).toBe(5_000)
    expect(breaker.nextProbeInMs).toBe(50)
    await clock.advance(50)
    expect(breaker.nextProbeInMs, 'while it hangs, nothing is known before its time is over').toBe(5_000)
    await clock.advance(4_000)
    expect(breaker.nextProbeInMs).toBe(1_000)
  })

  test('waits for no probe once the relay ends', async () => {
    const destination = new Destination(true)
    destination.answer = 'never'
    const answer = destination.breaker.openIfAway(error, false)
    destination.abort.abort()
    expect(await answer).toBe(true)
    destination.breaker.stop()
    expect(destination.clock.pending).toBe(0)
  })

  test('is not woken by a probe that answers after it was stopped', async () => {
    const destination = new Destination(true)
    const { breaker, clock } = destination
    await breaker.openIfAway(error, false)
    destination.answer = 'never'
    await clock.advance(50)
    breaker.stop()
    await clock.advance(10_000)
    expect(breaker.isOpen).toBe(true)
    expect(destination.closed).toBe(0)
    expect(clock.pending).toBe(0)
  })
})

describe('a breaker before a destination without a probe', () => {
  test('believes an outage, and not a missing answer', async () => {
    const destination = new Destination(false)
    expect(await destination.breaker.openIfAway(error, false)).toBe(false)
    expect(await destination.breaker.openIfAway(error, true)).toBe(true)
  })

  test('lets the next batch try, and tells the end of the outage only when something was taken', async () => {
    const { breaker, clock, journal, ...destination } = spread(new Destination(false))
    for (const waitMs of [50, 100, 200]) {
      await breaker.openIfAway(error, true)
      expect(breaker.isOpen).toBe(true)
      await clock.advance(waitMs)
      expect(breaker.isOpen).toBe(false)
    }
    expect(destination.closed()).toBe(3)
    expect(journal.names).toEqual(['destinationDown'])
    breaker.noteSuccess()
    breaker.noteSuccess()
    expect(journal.names).toEqual(['destinationDown', 'destinationUp'])
  })
})

test('a destination is away until it has taken something, though it may be tried', async () => {
  const { breaker, clock } = new Destination(false)
  expect(breaker.isAway).toBe(false)
  await breaker.openIfAway(error, true)
  await clock.advance(50)
  expect([breaker.isOpen, breaker.isAway]).toEqual([false, true])
  breaker.noteSuccess()
  expect(breaker.isAway).toBe(false)
})

test('a stopped breaker stays open until the relay works again', async () => {
  const { breaker, clock } = new Destination(false)
  await breaker.openIfAway(error, true)
  breaker.stop()
  await clock.advance(60_000)
  expect(breaker.isOpen).toBe(true)
  breaker.resume()
  expect(breaker.isOpen).toBe(false)
  await breaker.openIfAway(error, true)
  breaker.resume()
  expect(breaker.isOpen, 'a probe is on its way').toBe(true)
  breaker.stop()
  await settled()
})

function spread(destination: Destination) {
  const { breaker, clock, journal } = destination
  return { breaker, clock, journal, closed: () => destination.closed }
}
