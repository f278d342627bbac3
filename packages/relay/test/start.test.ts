import { EventEmitter } from 'node:events'
import { OutboxError, type Publisher } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { fanOutPublisher } from '../src/fan-out.ts'
import { routePublisher } from '../src/route.ts'
import { storeAway } from './store-probe.ts'
import { World } from './world.ts'

const missing = new OutboxError('setup-required', 'There is no table outbox: run the migration.', {
  missing: ['outbox'],
})

describe('start', () => {
  test('rejects with what is missing in the set-up of the store, and run does too', async () => {
    for (const method of ['start', 'run'] as const) {
      const world = new World()
      const { relay, probe } = world.relay(recordingPublisher())
      probe.interfere = () => Promise.reject(missing)
      await expect(relay[method]()).rejects.toBe(missing)
      await relay.stop()
      expect(world.clock.pending).toBe(0)
    }
  })

  test('rejects with what is missing in the set-up of a destination', async () => {
    const world = new World()
    const { relay } = world.relay({ ...recordingPublisher(), check: () => Promise.reject(missing) })
    await expect(relay.start()).rejects.toBe(missing)
    await relay.stop()
  })

  test('rejects, and leaves nothing behind: not the probes of another destination, which fails later', async () => {
    const world = new World()
    const check: Publisher['check'] = async () => {
      await new Promise<void>((resolve) => world.clock.schedule(resolve, 1_000))
      throw new OutboxError('unavailable', 'no connection', { system: 'later' })
    }
    const destinations = {
      first: { ...recordingPublisher(), check: () => Promise.reject(missing) },
      later: { ...recordingPublisher(), check, probe: () => Promise.reject(missing) },
    }
    const { relay } = world.relay(routePublisher({ route: () => 'first', destinations }))
    await expect(relay.start()).rejects.toBe(missing)
    await world.clock.advance(60_000)
    expect(world.clock.pending).toBe(0)
  })

  test('passes on the warnings of a destination, which is told the longest time between two tries', async () => {
    const world = new World()
    let horizonMs = 0
    const check: Publisher['check'] = async ({ retryHorizonMs }) => {
      horizonMs = retryHorizonMs
      return ['the window is short']
    }
    const { relay, journal } = world.relay({ ...recordingPublisher(), check }, { retry: { maxAttempts: 3 } })
    await relay.start()
    expect(journal.of('warning')).toEqual([{ message: 'the window is short' }])
    expect(horizonMs).toBe(100 + 200 + 10_000 + 5_000)
    await world.clock.advance(10_000)
    expect(journal.count('warning')).toBe(1)
    await relay.stop()
  })

  test('tells a warning once, though a destination stands behind several', async () => {
    const world = new World()
    const broker: Publisher = { ...recordingPublisher(), check: async () => ['the window is short'] }
    const destinations = { one: fanOutPublisher({ destinations: [broker] }), two: broker }
    const { relay, journal } = world.relay(routePublisher({ route: () => 'one', destinations }))
    await relay.start()
    expect(journal.of('warning')).toEqual([{ message: 'the window is short' }])
    await relay.stop()
  })

  test('does not reject in an outage of the store: it checks, subscribes and works once that is over', async () => {
    const world = new World()
    const broker = recordingPublisher()
    let subscriptions = 0
    const subscribe = async (wake: () => void): Promise<AsyncDisposable> => {
      if (probe.interfere !== passing) throw storeAway()
      subscriptions += 1
      return world.store.subscribe?.(wake) ?? Promise.reject(missing)
    }
    const { relay, probe, journal } = world.relay(broker)
    const passing = probe.interfere
    const subscribing = world.relay(broker, { store: { ...probe.source, subscribe }, on: journal.on })
    await relay.stop()
    probe.goAway()
    await subscribing.relay.start()
    await world.clock.advance(20_000)
    expect(journal.names).toEqual(['storeDown'])
    probe.interfere = passing
    await world.clock.advance(5_000)
    expect([probe.count('check') > 1, subscriptions]).toEqual([true, 1])
    await world.enqueue('a')
    await world.clock.advance(0)
    expect(broker.published).toHaveLength(1)
    await subscribing.relay.stop()
  })

  test('does not reject when a destination is away: that is checked when it is back', async () => {
    const world = new World()
    const broker = recordingPublisher()
    let isAway = true
    let checks = 0
    const answer = async (): Promise<void> => {
      if (isAway) throw new OutboxError('unavailable', 'gone', { system: 'broker' })
    }
    const check = async (): Promise<readonly string[]> => {
      await answer()
      checks += 1
      return []
    }
    const { relay, journal } = world.relay({ ...broker, check, probe: answer })
    await world.enqueue('a')
    await relay.start()
    await world.clock.advance(20_000)
    expect(journal.count('destinationDown')).toBe(1)
    isAway = false
    await world.clock.advanceUntil(() => world.store.isEmpty)
    await world.clock.advance(2_000)
    expect(checks).toBe(1)
    expect(relay.stats()).toMatchObject({ published: 1, retried: 0 })
    await relay.stop()
  })

  test('works without a subscription that the store refuses, tells that once, and polls', async () => {
    const world = new World()
    const refused = new Error('LISTEN does not work here')
    const broker = recordingPublisher()
    const store = { ...world.store, subscribe: () => Promise.reject(refused) }
    const { relay, journal } = world.relay(broker, { store })
    await relay.start()
    await world.clock.advance(10_000)
    await world.enqueue('a')
    await world.clock.advance(1_200)
    expect(broker.published).toHaveLength(1)
    expect(journal.of('error').map(({ error }) => error)).toEqual([refused])
    await relay.stop()
  })

  test('is refused a second time', async () => {
    const world = new World()
    const { relay } = world.relay(recordingPublisher())
    await relay.start()
    await expect(relay.start()).rejects.toThrow(/running already/)
    await expect(relay.tick()).rejects.toThrow(/running already/)
    await relay.stop()
  })
})

test('methods may be handed on alone, as the listener of a signal', async () => {
  const world = new World()
  const broker = recordingPublisher()
  const { relay } = world.relay(broker)
  const { start, wake, stats, tick } = relay
  await start()
  await world.enqueue('a')
  wake()
  await world.clock.advanceUntil(() => broker.published.length === 1)
  expect(stats()).toMatchObject({ state: 'running', published: 1 })
  await expect(tick()).rejects.toMatchObject({ code: 'invalid-option' })
  const signals = new EventEmitter()
  let stopped: Promise<void> | undefined
  const { stop } = relay
  signals.on('SIGTERM', (...given: unknown[]) => {
    stopped = Reflect.apply(stop, undefined, given)
  })
  signals.emit('SIGTERM', 'SIGTERM', 15)
  await world.clock.advanceUntilSettled(stopped ?? Promise.reject(new Error('it was not called')))
  expect(stats().state).toBe('stopped')
})

test('run with a signal that is aborted already does nothing', async () => {
  const world = new World()
  const { relay, probe } = world.relay(recordingPublisher())
  await relay.run({ signal: AbortSignal.abort() })
  expect(probe.calls).toEqual([])
})
