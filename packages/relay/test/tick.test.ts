import { OutboxError, type Publisher } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import type { TickReport } from '../src/index.ts'
import { routePublisher } from '../src/route.ts'
import { storeAway } from './store-probe.ts'
import { named, names, type TestRelay, World } from './world.ts'

function tick(world: World, { relay }: TestRelay, signal?: AbortSignal): Promise<TickReport> {
  return world.clock.advanceUntilSettled(relay.tick(signal ? { signal } : {}))
}

describe('a tick', () => {
  test('publishes all that is due, gives its leases back, and says what it did', async () => {
    const world = new World()
    const broker = recordingPublisher()
    const ticking = world.relay(broker, { batchSize: 7 })
    await world.enqueue(...names('a', 50), ...names('a', 50))
    expect(await tick(world, ticking)).toEqual({ published: 100, retried: 0, dead: 0, isIdle: true })
    expect(broker.published).toHaveLength(100)
    expect(world.clock.monotonic()).toBe(0)
    const { relays, leases } = await world.store.poll({ holder: 'an onlooker' })
    expect(relays).toEqual([])
    expect(leases.every(({ holder }) => holder === null)).toBe(true)
    expect(world.clock.pending).toBe(0)
  })

  test('is idle at once when nothing is due', async () => {
    const world = new World()
    const ticking = world.relay(recordingPublisher())
    expect(await tick(world, ticking)).toEqual({ published: 0, retried: 0, dead: 0, isIdle: true })
    expect(ticking.probe.count('fetch')).toBe(0)
  })

  test('counts what failed, and does not wait for another try: nothing is due then', async () => {
    const world = new World()
    const broker = recordingPublisher(({ aggregateId }) => {
      if (aggregateId === 'later') return { status: 'retry', error: new Error('not now') }
      return aggregateId === 'never' ? { status: 'reject', error: new Error('never') } : undefined
    })
    const ticking = world.relay(broker)
    await world.enqueue('a', 'later', 'never')
    expect(await tick(world, ticking)).toEqual({ published: 1, retried: 1, dead: 1, isIdle: true })
    await world.clock.advance(1_000)
    expect(await tick(world, ticking)).toEqual({ published: 0, retried: 1, dead: 0, isIdle: true })
    expect(world.clock.pending).toBe(0)
  })

  test('that fails at the check of one destination leaves nothing going of another’s', async () => {
    const world = new World()
    const missing = new OutboxError('setup-required', 'no stream', { missing: ['stream'] })
    const away = new OutboxError('unavailable', 'gone', { system: 'broker' })
    const wrong: Publisher = { ...recordingPublisher(), name: 'wrong', check: () => Promise.reject(missing) }
    const slow: Publisher = {
      ...recordingPublisher(),
      name: 'slow',
      check: () => new Promise((_, reject) => world.clock.schedule(() => reject(away), 100)),
    }
    const ticking = world.relay(routePublisher({ destinations: { wrong, slow }, route: () => 'slow' }))
    await expect(tick(world, ticking)).rejects.toBe(missing)
    const told = ticking.journal.count('destinationDown')
    await world.clock.advance(60_000)
    expect(ticking.journal.count('destinationDown')).toBe(told)
    expect(world.clock.pending).toBe(0)
  })

  test('does nothing on an aborted signal', async () => {
    const world = new World()
    const broker = recordingPublisher()
    await world.enqueue('a')
    expect(await tick(world, world.relay(broker), AbortSignal.abort())).toMatchObject({ published: 0, isIdle: false })
    expect(broker.sent).toEqual([])
  })

  test('ends soon after its signal aborts, its batch settled, its leases given back', async () => {
    const world = new World()
    const broker = recordingPublisher(
      () => new Promise<undefined>((resolve) => world.clock.schedule(() => resolve(undefined), 100)),
    )
    const ticking = world.relay(broker, { batchSize: 5, lanes: 1 })
    await world.enqueue(...names('a', 100))
    const abort = new AbortController()
    world.clock.schedule(() => abort.abort(), 750)
    const report = await tick(world, ticking, abort.signal)
    expect(report).toMatchObject({ isIdle: false })
    expect(report.published).toBeGreaterThan(0)
    expect(world.clock.monotonic()).toBeLessThan(2_000)
    expect(world.store.length).toBe(100 - report.published)
  })

  test.each([true, false])(
    'counts no attempt that its own signal cut off (a publisher with a probe: %s)',
    async (probes) => {
      const world = new World()
      await world.enqueue('a')
      const recording = recordingPublisher(() => new Promise<undefined>(() => undefined))
      const ticking = world.relay(probes ? { ...recording, probe: async () => undefined } : recording)
      for (let round = 1; round <= 12; round++) {
        const abort = new AbortController()
        world.clock.schedule(() => abort.abort(), 500)
        await tick(world, ticking, abort.signal)
        await world.clock.advance(120_000)
      }
      expect(new Set(recording.sent.map(({ attempt }) => attempt))).toEqual(new Set([1]))
      expect(recording.sent.length).toBeGreaterThan(1)
      expect(await world.deadReasons()).toEqual([])
    },
  )

  test('beside a relay that lives takes its share only, and is not idle before that one is', async () => {
    const world = new World()
    const other = world.relay({ ...recordingPublisher(), publish: () => new Promise(() => undefined) })
    await other.relay.start()
    await world.clock.advance(5_000)
    await world.enqueue(...names('a', 64))
    const report = await tick(world, world.relay(recordingPublisher()))
    expect(report.isIdle).toBe(false)
    await world.clock.advanceUntilSettled(other.relay.stop())
  })

  test('waits for a relay that may be dead, and takes over when it is', async () => {
    const world = new World()
    const dead = world.relay(recordingPublisher())
    await dead.relay.start()
    await world.clock.advance(5_000)
    dead.probe.interfere = () => new Promise(() => undefined)
    const died = world.clock.monotonic()
    await world.enqueue(...names('a', 64))
    const ticking = world.relay(recordingPublisher())
    expect(await tick(world, ticking)).toMatchObject({ published: 64, isIdle: true })
    expect(world.clock.monotonic() - died).toBeGreaterThanOrEqual(9_000)
    expect(world.clock.monotonic() - died).toBeLessThan(11_500)
  })

  test('remembers from one tick to the next who was silent', async () => {
    const world = new World()
    const dead = world.relay(recordingPublisher())
    await dead.relay.start()
    await world.clock.advance(5_000)
    dead.probe.interfere = () => new Promise(() => undefined)
    await world.enqueue('a')
    const ticking = world.relay(recordingPublisher())
    const abort = new AbortController()
    world.clock.schedule(() => abort.abort(), 1_500)
    expect(await tick(world, ticking, abort.signal)).toMatchObject({ published: 0, isIdle: false })
    await world.clock.advance(60_000)
    const before = world.clock.monotonic()
    expect(await tick(world, ticking)).toMatchObject({ published: 1, isIdle: true })
    expect(world.clock.monotonic() - before).toBeLessThan(100)
  })

  test('ends when the broker is away, and the next tick tries again', async () => {
    for (const hasProbe of [true, false]) {
      const world = new World()
      const error = new OutboxError('unavailable', 'gone', { system: 'broker' })
      let isAway = true
      const answers = async (): Promise<void> => {
        if (isAway) throw error
      }
      const broker = recordingPublisher(() => (isAway ? { status: 'unavailable', error } : undefined))
      const publisher: Publisher = hasProbe ? { ...broker, probe: answers } : broker
      const ticking = world.relay(publisher)
      await world.enqueue('a')
      expect(await tick(world, ticking)).toEqual({ published: 0, retried: 0, dead: 0, isIdle: false })
      expect(await tick(world, ticking)).toMatchObject({ published: 0, isIdle: false })
      isAway = false
      expect(await tick(world, ticking)).toMatchObject({ published: 1, isIdle: true })
      expect(broker.published.map(({ attempt }) => attempt)).toEqual([1])
      expect(ticking.journal.names.filter((name) => name.startsWith('destination'))).toEqual([
        'destinationDown',
        'destinationUp',
      ])
      expect(world.clock.pending).toBe(0)
    }
  })

  test('throws when the store is away, before the publish or after it', async () => {
    const world = new World()
    const broker = recordingPublisher()
    const early = world.relay(broker)
    early.probe.goAway()
    await expect(early.relay.tick()).rejects.toMatchObject({ code: 'unavailable' })
    await world.enqueue('a')
    const late = world.relay(broker)
    late.probe.interfere = (method, proceed) => {
      if (broker.sent.length === 0) return proceed()
      return method === 'settle' || method === 'poll' ? Promise.reject(storeAway()) : proceed()
    }
    const ticked = late.relay.tick()
    ticked.catch(() => undefined) // looked at below, when the clock has been turned
    await expect(world.clock.advanceUntilSettled(ticked, 20_000)).rejects.toMatchObject({ code: 'unavailable' })
    expect(world.clock.pending).toBe(0)
  })

  test('throws what is missing in the set-up', async () => {
    const world = new World()
    const { relay, probe } = world.relay(recordingPublisher())
    const missing = new OutboxError('setup-required', 'no table', { missing: ['outbox'] })
    probe.interfere = () => Promise.reject(missing)
    await expect(relay.tick()).rejects.toBe(missing)
  })

  test('is refused while another is at work, and not after it', async () => {
    const world = new World()
    const ticking = world.relay(recordingPublisher())
    const first = ticking.relay.tick()
    await expect(ticking.relay.tick()).rejects.toThrow(/ticking already/)
    await first
    await ticking.relay.tick()
  })

  test('is ended by stop within its deadline, with a signal of its own too', async () => {
    for (const options of [{}, { signal: new AbortController().signal }]) {
      const world = new World()
      const stuck = world.relay({ ...recordingPublisher(), publish: () => new Promise(() => undefined) })
      await world.enqueue('a')
      const ticked = stuck.relay.tick(options)
      await world.clock.advance(10)
      await world.clock.advanceUntilSettled(stuck.relay.stop({ deadlineMs: 2_500 }))
      expect(world.clock.monotonic()).toBeLessThanOrEqual(2_510)
      expect(await world.clock.advanceUntilSettled(ticked, 100)).toMatchObject({ published: 0, isIdle: false })
      expect(world.clock.pending).toBe(0)
    }
  })
})

test('a relay that ticked may start, and works', async () => {
  const world = new World()
  const error = new OutboxError('unavailable', 'gone', { system: 'broker' })
  let isAway = true
  const broker = recordingPublisher(() => (isAway ? { status: 'unavailable', error } : undefined))
  const both = world.relay(broker)
  await world.enqueue('a', 'a')
  expect(await tick(world, both)).toMatchObject({ isIdle: false })
  isAway = false
  await both.relay.start()
  await world.clock.advanceUntil(() => world.store.isEmpty, 5_000)
  expect(broker.published.map(named)).toEqual(['a 1', 'a 2'])
  await both.relay.stop()
})
