import { OutboxError } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { type HealthCheck, type RelayHealth, relayHealth, type Stall } from '../src/health.ts'
import { storeAway } from './store-probe.ts'
import { type TestRelay, World } from './world.ts'

const well: RelayHealth = { isLive: true, isReady: true, isStalled: false, reasons: [] }

describe('a relay', () => {
  test('that works is live and ready, and that has stopped is neither', async () => {
    const { world, health, relay } = await started()
    await world.enqueue('a')
    await world.clock.advance(10_000)
    expect(await health.check()).toEqual(well)
    await relay.stop()
    expect(await health.check()).toMatchObject({ isLive: false, isReady: false, reasons: ['The relay is stopped.'] })
  })

  test('is ready no sooner than it has started', async () => {
    const world = new World()
    const { relay } = world.relay(recordingPublisher())
    const health = relayHealth({ relay, clock: world.clock })
    expect(await health.check()).toEqual({ ...well, isReady: false, reasons: ['The relay is idle.'] })
  })

  test('is live through an outage of the database, however long: it goes on by itself', async () => {
    const { world, health, relay, probe } = await started()
    probe.goAway()
    await world.clock.advance(600_000)
    expect(await health.check()).toEqual({ ...well, isReady: false, reasons: ['The database is away.'] })
    probe.comeBack()
    await world.clock.advance(5_000)
    expect(await health.check()).toEqual(well)
    await relay.stop()
  })

  test('names the destinations that are away', async () => {
    const error = new OutboxError('unavailable', 'gone', { system: 'broker' })
    const away = recordingPublisher(() => ({ status: 'unavailable', error }), { name: 'orders' })
    const { world, health, relay } = await started({ ...away, probe: () => Promise.reject(error) })
    await world.enqueue('a')
    await world.clock.advance(1_000)
    expect(await health.check()).toEqual({ ...well, isReady: false, reasons: ["'orders' is away."] })
    await relay.stop()
  })

  test('that has lost the leases, and the means to get them back, is not live after a while', async () => {
    const { world, health, relay, probe } = await started()
    expect(await health.check()).toEqual(well)
    probe.interfere = (method, proceed) => (method === 'poll' ? Promise.reject(new Error('a bug')) : proceed())
    await world.clock.advance(30_000)
    expect(await health.check()).toMatchObject({ isLive: true })
    await world.clock.advance(61_000)
    expect(await health.check()).toEqual({
      ...well,
      isLive: false,
      isReady: false,
      reasons: ['The relay has held no lease for 91 s, though the database answers.'],
    })
    await relay.stop()
  })
})

describe('a backlog', () => {
  test('is stalled when it is old and nothing leaves; what waits in a queue that moves is not', async () => {
    const broker = recordingPublisher(({ aggregateId }) =>
      aggregateId === 'poison' ? { status: 'reject', error: new Error('never') } : undefined,
    )
    const { world, health, relay } = await started(broker, { onDead: 'block' })
    await world.enqueue('poison', 'poison')
    for (let i = 0; i < 5; i++) {
      await world.enqueue('fine')
      await world.clock.advance(30_000)
      expect(await health.check()).toEqual(well)
    }
    await world.clock.advance(60_000)
    expect(await health.check()).toEqual({
      ...well,
      isReady: false,
      isStalled: true,
      reasons: [
        'Nothing has left for 60 s; the oldest pending entry is 210 s old.',
        expect.stringMatching(/^Partition \d+, where the oldest stands, has dead letters: 1\./),
      ],
    })
    await relay.stop()
  })

  test('that is stalled is told once, with what stands in the way, until something leaves again', async () => {
    const error = new OutboxError('unavailable', 'gone', { system: 'broker' })
    let isAway = true
    const broker = recordingPublisher(() => (isAway ? { status: 'unavailable', error } : undefined), { name: 'orders' })
    const probe = (): Promise<void> => (isAway ? Promise.reject(error) : Promise.resolve())
    const { world, relay } = await started({ ...broker, probe })
    const stalls: Stall[] = []
    const onStalled = (stall: Stall): void => void stalls.push(stall)
    const health = relayHealth({ relay, store: world.store, clock: world.clock, onStalled })
    const stop = new AbortController()
    const watching = health.watch({ signal: stop.signal })
    await world.enqueue('a')
    await world.clock.advance(59_000)
    expect(stalls).toEqual([])
    await world.clock.advance(120_000)
    expect(stalls).toEqual([{ oldestPendingAgeMs: 60_000, stillForMs: 60_000, reasons: ["'orders' is away."] }])
    isAway = false
    await world.clock.advance(20_000)
    expect(world.store.isEmpty).toBe(true)
    isAway = true
    await world.enqueue('b')
    await world.clock.advance(90_000)
    expect(stalls).toHaveLength(2)
    await relay.stop()
    stop.abort()
    await watching
    expect(world.clock.pending).toBe(0)
  })

  test('is told by a relay without partitions, too', async () => {
    const world = new World()
    const { relay } = world.relay(recordingPublisher())
    await world.enqueue('a')
    const health = relayHealth({ relay, store: world.store, clock: world.clock, stuckAfterMs: 600_000 })
    await world.clock.advance(60_000)
    await health.check()
    await world.clock.advance(60_000)
    expect(await health.check()).toMatchObject({
      isStalled: true,
      reasons: [
        expect.stringMatching(/^Nothing has left/),
        'The relay is idle.',
        'This relay holds no partition: another one should do the work.',
      ],
    })
  })

  test('that the database does not tell is an outage; a defect of its query is told as such', async () => {
    const world = new World()
    const { relay } = world.relay(recordingPublisher())
    await relay.start()
    await world.clock.advance(2_000)
    const withStats = (error: unknown): HealthCheck =>
      relayHealth({ relay, clock: world.clock, store: { stats: () => Promise.reject(error) } })
    expect(await withStats(storeAway()).check()).toMatchObject({ isLive: true, reasons: ['The database is away.'] })
    await expect(withStats(new Error('syntax error')).check()).rejects.toThrow('syntax error')
    await relay.stop()
  })
})

async function started(
  broker: Parameters<World['relay']>[0] = recordingPublisher(),
  options: Parameters<World['relay']>[1] = {},
): Promise<TestRelay & { readonly world: World; readonly health: HealthCheck }> {
  const world = new World()
  const test = world.relay(broker, options)
  const health = relayHealth({ relay: test.relay, store: world.store, clock: world.clock })
  await test.relay.start()
  await world.clock.advance(2_000)
  return { ...test, world, health }
}
