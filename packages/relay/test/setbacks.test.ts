import { type LeasedSource, OutboxError } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import type { StoreMethod } from './store-probe.ts'
import { names, type TestRelay, World } from './world.ts'

const busy = new OutboxError('busy', 'a lock time-out', { system: 'database' })

/** A relay with work to do, one of whose calls is answered `busy` so often, or for ever. */
async function withBusy(method: StoreMethod, times: number): Promise<TestRelay & { readonly world: World }> {
  const world = new World()
  const made = world.relay(recordingPublisher())
  let left = times
  made.probe.interfere = (called, proceed) => (called === method && left-- > 0 ? Promise.reject(busy) : proceed())
  await world.enqueue('a')
  await made.relay.start()
  return { ...made, world }
}

describe('a store that answers busy', () => {
  test.each([
    ['poll', 'a poll of the store'],
    ['fetch', 'a batch'],
    ['settle', 'a settle'],
  ] as const)('to %s for ever is told as a warning, again and again', async (method, during) => {
    const { world, relay, journal } = await withBusy(method, Number.POSITIVE_INFINITY)
    await world.clock.advance(60_000)
    const warnings = journal.of('warning').map(({ message }) => message)
    expect(warnings[0]).toBe(`The store is busy at ${during}: 10 failures in a row. Who holds a lock?`)
    expect(warnings.length).toBeGreaterThan(1)
    expect(warnings.length).toBeLessThan(60)
    expect(journal.names).not.toContain('error')
    await world.clock.advanceUntilSettled(relay.stop())
    expect(world.clock.pending).toBe(0)
  })

  test('nine times and then does its work is no news', async () => {
    const { world, relay, journal } = await withBusy('fetch', 9)
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(journal.names).not.toContain('warning')
    await relay.stop()
  })

  test('is asked several times within a lease, however long it has been so', async () => {
    const world = new World()
    const { relay, probe } = world.relay(recordingPublisher(), {
      leaseMs: 2_000,
      pollIntervalMs: 200,
      publishTimeoutMs: 500,
    })
    const askedAt: number[] = []
    probe.interfere = (called, proceed) => {
      if (called !== 'fetch') return proceed()
      askedAt.push(world.clock.monotonic())
      return Promise.reject(busy)
    }
    await world.enqueue('a')
    await relay.start()
    await world.clock.advance(60_000)
    const gaps = askedAt.slice(1).map((at, index) => at - (askedAt[index] ?? 0))
    expect(gaps.length).toBeGreaterThan(60)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(500)
    await world.clock.advanceUntilSettled(relay.stop())
  })
})

describe('a defect of the store', () => {
  const missing = (what: string): OutboxError =>
    new OutboxError('setup-required', `The table ${what} is missing.`, { missing: [what] })

  test.each(['poll', 'fetch', 'settle'] as const)(
    'that lasts, at each %s, is told once a minute, not at each try',
    async (method) => {
      const world = new World()
      const { relay, journal, probe } = world.relay(recordingPublisher())
      await world.enqueue(...names('a', 20)) // for all lanes
      probe.interfere = (called, proceed) => (called === method ? Promise.reject(missing('a')) : proceed())
      await relay.start()
      await world.clock.advance(50_000)
      expect(journal.of('error')).toMatchObject([{ error: { message: 'The table a is missing.' } }])
      await world.clock.advance(550_000)
      expect(journal.count('error')).toBeGreaterThanOrEqual(9)
      expect(journal.count('error')).toBeLessThanOrEqual(10)
      await world.clock.advanceUntilSettled(relay.stop())
    },
  )

  test('that is another one is told at once', async () => {
    const world = new World()
    const { relay, journal, probe } = world.relay(recordingPublisher())
    await relay.start()
    for (const table of ['a', 'b', 'a']) {
      probe.interfere = () => Promise.reject(missing(table))
      await world.clock.advance(10_000)
    }
    expect(journal.of('error').map(({ error }) => String(error))).toEqual([
      'OutboxError: The table a is missing.',
      'OutboxError: The table b is missing.',
    ])
    await world.clock.advanceUntilSettled(relay.stop())
  })

  test('that is never the same is no flood either', async () => {
    const world = new World()
    const { relay, journal, probe } = world.relay(recordingPublisher())
    await relay.start()
    let count = 0
    probe.interfere = () => Promise.reject(missing(`${++count}`))
    await world.clock.advance(600_000)
    expect(journal.count('error')).toBeLessThanOrEqual(50)
    await world.clock.advanceUntilSettled(relay.stop())
  })

  test('that comes again after it was mended is told again', async () => {
    const world = new World()
    const { relay, journal, probe } = world.relay(recordingPublisher())
    await relay.start()
    for (const count of [1, 2, 3]) {
      probe.interfere = () => Promise.reject(missing('a'))
      await world.clock.advance(5_000)
      expect(journal.count('error')).toBe(count)
      probe.comeBack()
      await world.clock.advance(5_000)
    }
    await relay.stop()
  })

  test('that one lane meets is told no oftener while the others do well', async () => {
    const world = new World()
    const store: LeasedSource = {
      ...world.store,
      fetch: (request) =>
        request.leases.some(({ partition }) => partition % 4 === 1)
          ? Promise.reject(missing('a'))
          : world.store.fetch(request),
    }
    const { relay, journal } = world.relay(recordingPublisher(), { store })
    await relay.start()
    for (let i = 0; i < 25; i++) {
      await world.enqueue(...names('a', 20))
      await world.clock.advance(2_000)
    }
    expect(relay.stats().published).toBeGreaterThan(100)
    expect(journal.count('error')).toBe(1)
    await relay.stop()
  })
})
