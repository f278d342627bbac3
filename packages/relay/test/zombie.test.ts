import type { Publisher } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { SimulatedProcess } from './simulated-process.ts'
import { named, names, World } from './world.ts'

describe('a relay paused past its lease, after its deadline check and before its write', () => {
  test.each([
    { fences: true, arrivals: ['a 1', 'a 2', 'a 3'] },
    { fences: false, arrivals: ['a 1', 'a 2', 'a 3', 'a 1', 'a 2', 'a 3'] },
  ])('changes nothing in the store when it goes on (the broker fences: $fences)', async ({ fences, arrivals }) => {
    const world = new World()
    const broker = recordingPublisher(undefined, { fences, deduplicates: false })
    // what it writes is past every check of a signal: on its way to the socket when the process stops
    const socket = new AbortController().signal
    const client: Publisher = { ...broker, publish: (entries) => broker.publish(entries, { signal: socket }) }
    const zombie: SimulatedProcess = new SimulatedProcess(world, client)
    await zombie.test.relay.start()
    await world.clock.advance(2_000)
    zombie.test.probe.interfere = async (method, proceed) => {
      const answer = await proceed()
      if (method === 'fetch') zombie.pause()
      return answer
    }
    await world.enqueue('a', 'a', 'a')
    await world.clock.advance(0)
    expect(zombie.isRunning).toBe(false)
    zombie.test.probe.interfere = () => new Promise(() => undefined)

    const heir = world.relay(broker)
    await heir.relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.published.map(named)).toEqual(['a 1', 'a 2', 'a 3'])

    zombie.test.probe.comeBack()
    zombie.goOn()
    await world.clock.advance(30_000)
    expect(broker.published.map(named)).toEqual(arrivals)
    expect(zombie.test.relay.stats()).toMatchObject({ published: 0, dead: 0, partitions: 32 })
    expect(heir.relay.stats()).toMatchObject({ published: 3, settlesRefused: 0 })
    expect(zombie.test.journal.count('leasesLost')).toBeGreaterThan(0)
    await world.clock.advanceUntilSettled(Promise.all([zombie.test.relay.stop(), heir.relay.stop()]))
  })
})

describe('a relay that published and was paused before its settle', () => {
  test('is refused, counts that, loses its leases, and joins anew', async () => {
    const world = new World()
    const broker = recordingPublisher(undefined, { deduplicates: false })
    const sleeper: SimulatedProcess = new SimulatedProcess(world, {
      ...broker,
      publish: async (entries, options) => {
        const outcomes = await broker.publish(entries, options)
        sleeper.pause()
        return outcomes
      },
    })
    await sleeper.test.relay.start()
    await world.clock.advance(2_000)
    await world.enqueue('a', 'a')
    await world.clock.advance(0)
    expect(broker.published.map(named)).toEqual(['a 1', 'a 2'])

    const heir = world.relay(broker)
    await heir.relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.published.map(named), 'a step back: from the first unsettled entry on').toEqual([
      'a 1',
      'a 2',
      'a 1',
      'a 2',
    ])

    sleeper.goOn()
    await world.clock.advance(30_000)
    expect(sleeper.test.relay.stats()).toMatchObject({ published: 0, settlesRefused: 2, partitions: 32 })
    const refused = sleeper.test.journal.of('settleRefused').flatMap(({ entries }) => entries.map(named))
    expect(refused).toEqual(['a 1', 'a 2'])
    expect(sleeper.test.journal.count('leasesLost')).toBeGreaterThan(0)
    expect(sleeper.test.journal.count('published')).toBe(0)
    expect(sleeper.test.journal.count('error')).toBe(0)
    await world.clock.advanceUntilSettled(Promise.all([sleeper.test.relay.stop(), heir.relay.stop()]))
  })
})

test('no publish starts when less than the publish time-out is left of the lease', async () => {
  const world = new World()
  const broker = recordingPublisher()
  const { relay, probe } = world.relay(broker)
  await relay.start()
  await world.clock.advance(2_000)
  probe.interfere = (method, proceed) => (method === 'poll' ? new Promise(() => undefined) : proceed())
  await world.clock.advance(5_001)
  await world.enqueue(...names('a', 10))
  await world.clock.advance(20_000)
  expect(broker.sent).toEqual([])
  probe.comeBack()
  await world.clock.advanceUntil(() => world.store.isEmpty)
  await relay.stop()
})
