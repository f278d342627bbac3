import { type LeasedSource, OutboxError, type Publisher } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { names, type TestRelay, World } from './world.ts'

const never: Publisher['publish'] = () => new Promise(() => undefined)

/** Stops the relay, turning the clock. @returns how long it took */
async function stop(world: World, { relay }: TestRelay, deadlineMs?: number): Promise<number> {
  const before = world.clock.monotonic()
  await world.clock.advanceUntilSettled(relay.stop(deadlineMs === undefined ? {} : { deadlineMs }))
  return world.clock.monotonic() - before
}

async function holders(world: World): Promise<ReadonlySet<string | null>> {
  const { leases } = await world.store.poll({ holder: 'an onlooker' })
  return new Set(leases.map(({ holder }) => holder))
}

const none = new Set([null])

describe('stop ends at once, holds no lease and leaves no timer', () => {
  test('on a relay that never started', async () => {
    const world = new World()
    const idle = world.relay(recordingPublisher())
    const stopping = stop(world, idle)
    await expect(idle.relay.start()).rejects.toThrow(/stopped already/)
    expect(await stopping).toBe(0)
    expect(idle.probe.calls).toEqual([])
    expect(world.clock.pending).toBe(0)
    await expect(idle.relay.start()).rejects.toThrow(/stopped already/)
  })

  test('whatever it is called with', async () => {
    for (const given of [null, 'SIGTERM', { deadlineMs: Number.NaN }]) {
      const world = new World()
      const { relay } = world.relay(recordingPublisher())
      await relay.start()
      await relay.stop(given as never)
      expect(relay.stats().state).toBe('stopped')
    }
  })

  test('at rest', async () => {
    const world = new World()
    const resting = world.relay(recordingPublisher())
    await resting.relay.start()
    await world.clock.advance(30_000)
    expect(await stop(world, resting)).toBe(0)
    expect(await holders(world)).toEqual(none)
    expect(world.clock.pending).toBe(0)
  })

  test('while entries wait for another try, which a successor makes', async () => {
    const world = new World()
    const broker = recordingPublisher(({ attempt }) =>
      attempt === 1 ? { status: 'retry', error: new Error('not now') } : undefined,
    )
    const first = world.relay(broker, { retry: { minDelayMs: 20_000 } })
    await world.enqueue('a', 'b')
    await first.relay.start()
    await world.clock.advanceUntil(() => first.relay.stats().retried === 2)
    expect(await stop(world, first)).toBe(0)
    expect(world.clock.pending).toBe(0)
    expect(await holders(world)).toEqual(none)
    const second = world.relay(broker)
    await second.relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.published.map(({ attempt }) => attempt)).toEqual([2, 2])
    await stop(world, second)
  })

  test('while the broker is away', async () => {
    const world = new World()
    const error = new OutboxError('unavailable', 'gone', { system: 'broker' })
    const broker: Publisher = {
      ...recordingPublisher(() => ({ status: 'unavailable', error })),
      probe: () => Promise.reject(error),
    }
    const waiting = world.relay(broker)
    await world.enqueue('a')
    await waiting.relay.start()
    await world.clock.advanceUntil(() => waiting.relay.stats().destinationsDown.length > 0)
    expect(await stop(world, waiting)).toBe(0)
    expect(await holders(world)).toEqual(none)
    expect(world.clock.pending).toBe(0)
  })
})

describe('stop under load', () => {
  test('finishes what is in flight and makes no duplicate: the successor sends the rest', async () => {
    const world = new World()
    const broker = recordingPublisher(
      () => new Promise<undefined>((resolve) => world.clock.schedule(() => resolve(undefined), 30)),
      { deduplicates: false },
    )
    const first = world.relay(broker, { batchSize: 20 })
    await world.enqueue(...names('a', 200))
    await first.relay.start()
    await world.clock.advanceUntil(() => broker.sent.length > 50)
    await stop(world, first)
    expect(world.store.isEmpty).toBe(false)
    expect(first.relay.stats().published).toBe(broker.sent.length)
    expect(await holders(world)).toEqual(none)
    expect(world.clock.pending).toBe(0)
    const second = world.relay(broker)
    await second.relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.sent).toHaveLength(200)
    await stop(world, second)
  })

  test('by the signal of run: run resolves when all is settled', async () => {
    const world = new World()
    const broker = recordingPublisher(
      () => new Promise<undefined>((resolve) => world.clock.schedule(() => resolve(undefined), 500)),
    )
    const { relay } = world.relay(broker)
    const terminate = new AbortController()
    const run = relay.run({ signal: terminate.signal })
    await world.enqueue('a')
    await world.clock.advanceUntil(() => broker.sent.length === 1)
    terminate.abort()
    await world.clock.advanceUntilSettled(run)
    expect(relay.stats().published).toBe(1)
    expect(await holders(world)).toEqual(none)
    expect(world.clock.pending).toBe(0)
  })

  test('does not abort a publish that ends before the drain is over', async () => {
    const world = new World()
    let wasAborted = false
    const broker = recordingPublisher(async (_entry, { signal }) => {
      signal.addEventListener('abort', () => {
        wasAborted = true
      })
      await new Promise<void>((resolve) => world.clock.schedule(resolve, 4_900))
      return undefined
    })
    const busy = world.relay(broker)
    await world.enqueue('a')
    await busy.relay.start()
    await world.clock.advanceUntil(() => broker.sent.length === 1)
    expect(await stop(world, busy)).toBeLessThanOrEqual(4_900)
    expect(wasAborted).toBe(false)
    expect(world.store.isEmpty).toBe(true)
  })
})

describe('stop ends within its deadline', () => {
  test.each([10_000, 1_000, 100])(
    'of %i ms with a publish that never answers, whose lease it keeps',
    async (deadlineMs) => {
      const world = new World()
      const deaf = world.relay({ ...recordingPublisher(), publish: never }, { publishTimeoutMs: 8_000 })
      await world.enqueue('a')
      await deaf.relay.start()
      await world.clock.advance(500)
      expect(await stop(world, deaf, deadlineMs)).toBeLessThanOrEqual(deadlineMs)
      expect(await holders(world)).toContain('relay-1.1')
      await world.clock.advance(1_000)
      expect(world.clock.pending, 'a second later').toBe(0)
    },
  )

  test('with a publish that hears the signal: its entry is unknown and settled, only its lease is kept', async () => {
    const world = new World()
    const broker = recordingPublisher(({ aggregateId }) =>
      aggregateId === 'stuck' ? new Promise(() => undefined) : undefined,
    )
    const stuck = world.relay(broker, { publishTimeoutMs: 8_000, lanes: 1 })
    await world.enqueue('a', 'b', 'stuck')
    await stuck.relay.start()
    await world.clock.advance(500)
    expect(await stop(world, stuck)).toBeLessThanOrEqual(10_000)
    expect(stuck.relay.stats()).toMatchObject({ published: 2, retried: 1 })
    const { leases } = await world.store.poll({ holder: 'an onlooker' })
    const kept = leases.filter(({ holder }) => holder !== null)
    expect(kept).toEqual([broker.sent.find(({ aggregateId }) => aggregateId === 'stuck')?.lease])
    expect(world.clock.pending).toBe(0)
  })

  test('with a broker that answers neither publish nor probe: the neighbours are settled', async () => {
    const world = new World()
    const broker: Publisher & ReturnType<typeof recordingPublisher> = Object.assign(
      recordingPublisher(({ aggregateId }) => (aggregateId === 'stuck' ? new Promise(() => undefined) : undefined)),
      { probe: () => new Promise<void>(() => undefined) },
    )
    const stuck = world.relay(broker, { publishTimeoutMs: 8_000, lanes: 1 })
    await world.enqueue('a', 'b', 'stuck')
    await stuck.relay.start()
    await world.clock.advance(500)
    expect(await stop(world, stuck)).toBeLessThanOrEqual(10_000)
    expect(stuck.relay.stats().published).toBe(2)
    expect(world.store.length).toBe(1)
    expect(world.clock.pending).toBe(0)
  })

  test('with a store that is away, or hangs', async () => {
    for (const isHanging of [false, true]) {
      const world = new World()
      const broker = recordingPublisher(() => {
        if (isHanging) hang(cut)
        else cut.probe.goAway()
        return undefined
      })
      const cut = world.relay(broker)
      await world.enqueue('a')
      await cut.relay.start()
      await world.clock.advance(500)
      expect(await stop(world, cut)).toBeLessThanOrEqual(10_000)
      expect(world.clock.pending).toBe(0)
      expect(cut.journal.count('error')).toBe(0)
    }
  })

  test('while start is still at its checks, which never answer', async () => {
    const world = new World()
    const starting = world.relay({ ...recordingPublisher(), check: () => new Promise(() => undefined) })
    const start = starting.relay.start()
    await world.clock.advance(10)
    expect(await stop(world, starting, 1_000)).toBeLessThanOrEqual(1_000)
    await start
    expect(world.clock.pending).toBe(0)
    expect(await holders(world)).toEqual(none)
  })

  test('while start waits for a wake-up subscription: it joins nobody, and takes no lease any more', async () => {
    const world = new World()
    const joins: string[] = []
    const store: LeasedSource = {
      ...world.store,
      join: (request) => {
        joins.push(request.holder)
        return world.store.join(request)
      },
      subscribe: () => new Promise(() => undefined),
    }
    const starting = world.relay(recordingPublisher(), { store })
    const start = starting.relay.start()
    await world.clock.advance(10)
    await stop(world, starting)
    await start
    await world.clock.advance(30_000)
    expect(joins).toEqual([])
  })

  test('while start waits for a wake-up subscription that never comes, and ends one that comes late', async () => {
    const world = new World()
    let subscribed: (subscription: AsyncDisposable) => void = () => undefined
    let disposed = 0
    const store = {
      ...world.store,
      subscribe: () => new Promise<AsyncDisposable>((resolve) => (subscribed = resolve)),
    }
    const starting = world.relay(recordingPublisher(), { store })
    const start = starting.relay.start()
    await world.clock.advance(10)
    expect(await stop(world, starting)).toBeLessThanOrEqual(10_000)
    await start
    subscribed({ [Symbol.asyncDispose]: async () => void disposed++ })
    await world.clock.advance(0)
    expect(disposed).toBe(1)
    expect(world.clock.pending).toBe(0)
  })
})

test('stop twice is stop once, and disposal is stop', async () => {
  const world = new World()
  const { relay, probe } = world.relay(recordingPublisher())
  await relay.start()
  await world.clock.advance(1_000)
  const stops = [relay.stop(), relay.stop({ deadlineMs: 5 }), relay[Symbol.asyncDispose]()]
  await world.clock.advanceUntilSettled(Promise.all(stops))
  expect(new Set(stops).size).toBe(1)
  expect(probe.count('release')).toBe(1)
})

function hang({ probe }: TestRelay): void {
  probe.interfere = () => new Promise(() => undefined)
}

test('a destination deaf to the end, with a probe that never answers, leaves no timer and is not called down', async () => {
  const world = new World()
  const deaf = { ...recordingPublisher(), publish: never, probe: () => new Promise<void>(() => undefined) }
  const busy = world.relay(deaf)
  await world.enqueue('a')
  await busy.relay.start()
  await world.clock.advance(100)
  await stop(world, busy, 1_000)
  await world.clock.advance(60_000)
  expect(world.clock.pending).toBe(0)
  expect(busy.journal.names).not.toContain('destinationDown')
})

test.each([Number.POSITIVE_INFINITY, 2 ** 40])('a deadline of %d ms lets what is in flight end', async (deadlineMs) => {
  const world = new World()
  const slow = recordingPublisher(
    () => new Promise((resolve) => void world.clock.schedule(() => resolve(undefined), 500)),
  )
  const busy = world.relay(slow)
  await world.enqueue('a')
  await busy.relay.start()
  await world.clock.advance(100)
  await stop(world, busy, deadlineMs)
  expect(busy.relay.stats().published).toBe(1)
})
