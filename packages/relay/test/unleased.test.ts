import { OutboxError, type OutboxSource } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { named, names, World } from './world.ts'

/** A store with the three methods of the trait and no more, and the limits that were asked for. */
function threeMethods({ store }: World): OutboxSource & { readonly limits: number[]; isAway: boolean } {
  const away = (): void => {
    if (three.isAway) throw new OutboxError('unavailable', 'gone', { system: 'database' })
  }
  const three = {
    limits: [] as number[],
    isAway: false,
    async fetchUnpublished(limit: number) {
      away()
      three.limits.push(limit)
      return store.fetchUnpublished(limit)
    },
    async markPublished(ids: readonly string[]) {
      away()
      return store.markPublished(ids)
    },
  }
  return three
}

const error = new Error('not now')

describe('a store with three methods', () => {
  test('is relayed in order, by one lane', async () => {
    const world = new World()
    let atWork = 0
    const broker = recordingPublisher(async () => {
      expect(++atWork).toBe(1)
      await new Promise<void>((resolve) => world.clock.schedule(resolve, 1))
      atWork -= 1
      return undefined
    })
    const { relay } = world.relay(broker, { store: threeMethods(world), lanes: 8, batchSize: 10 })
    await world.enqueue(...names('a', 20), ...names('a', 20))
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    for (const id of names('a', 20)) {
      expect(broker.published.filter(({ aggregateId }) => aggregateId === id).map(named)).toEqual([
        `${id} 1`,
        `${id} 2`,
      ])
    }
    expect(broker.sent).toHaveLength(40)
    await relay.stop()
    expect(world.clock.pending).toBe(0)
  })

  test('has its failures tried again, with a backoff, and the rest of the aggregate waits', async () => {
    const world = new World()
    const broker = recordingPublisher(({ aggregateId, sequence, attempt }) =>
      aggregateId === 'a' && sequence === 1 && attempt < 4 ? { status: 'retry', error } : undefined,
    )
    const { relay } = world.relay(broker, { store: threeMethods(world) })
    await world.enqueue('a', 'a', 'b')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.sent.map((entry) => `${named(entry)} #${entry.attempt}`)).toEqual([
      'a 1 #1',
      'b 1 #1',
      'a 1 #2',
      'a 1 #3',
      'a 1 #4',
      'a 2 #1',
    ])
    await relay.stop()
  })

  test.each(['skip', 'block'] as const)('has dead letters: the aggregate follows the policy %s', async (onDead) => {
    const world = new World()
    const broker = recordingPublisher(({ aggregateId, sequence }) =>
      aggregateId === 'a' && sequence === 1 ? { status: 'reject', error } : undefined,
    )
    const { relay, journal } = world.relay(broker, { store: threeMethods(world), onDead })
    await world.enqueue('a', 'a', 'b')
    await relay.start()
    await world.clock.advance(30_000)
    expect(broker.published.map(named)).toEqual(onDead === 'skip' ? ['b 1', 'a 2'] : ['b 1'])
    expect(journal.of('dead').map(({ entry, reason }) => [named(entry), reason])).toEqual([['a 1', 'not now']])
    await relay.stop()
  })

  test('is read past the entries that wait, however many there are', async () => {
    const world = new World()
    const broker = recordingPublisher(({ aggregateId }) =>
      aggregateId.startsWith('stuck') ? { status: 'retry', error } : undefined,
    )
    const { relay } = world.relay(broker, {
      store: threeMethods(world),
      batchSize: 4,
      retry: { minDelayMs: 60_000, maxAttempts: 100 },
    })
    await world.enqueue(...names('stuck', 50), 'free')
    await relay.start()
    await world.clock.advanceUntil(() => broker.published.length === 1, 10_000)
    expect(broker.published.map(named)).toEqual(['free 1'])
    await relay.stop()
  })

  test('hears what was published once it is back, and nothing goes out twice', async () => {
    const world = new World()
    const three = threeMethods(world)
    const goAway = (): undefined => {
      three.isAway = true
    }
    const broker = recordingPublisher(goAway, { deduplicates: false })
    const { relay, journal } = world.relay(broker, { store: three })
    await world.enqueue('a', 'b')
    await relay.start()
    await world.clock.advance(30_000)
    expect(world.store.length).toBe(2)
    three.isAway = false
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.sent).toHaveLength(2)
    expect([journal.count('storeDown'), journal.count('storeUp')]).toEqual([1, 1])
    await relay.stop()
  })

  test('ticks', async () => {
    const world = new World()
    const broker = recordingPublisher()
    const { relay } = world.relay(broker, { store: threeMethods(world) })
    for (let round = 1; round <= 3; round++) {
      await world.enqueue('a', 'b')
      expect(await world.clock.advanceUntilSettled(relay.tick())).toMatchObject({ published: 2, isIdle: true })
    }
    expect(broker.published).toHaveLength(6)
  })

  test('costs one small read a poll at rest', async () => {
    const world = new World()
    const three = threeMethods(world)
    const { relay } = world.relay(recordingPublisher(), { store: three })
    await relay.start()
    await world.clock.advance(30_000)
    three.limits.length = 0
    await world.clock.advance(100_000)
    expect(new Set(three.limits)).toEqual(new Set([1]))
    expect(three.limits.length).toBeLessThan(112)
    await relay.stop()
  })
})
