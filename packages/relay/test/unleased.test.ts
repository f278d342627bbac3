import { type OutboxEntry, OutboxError, type OutboxSource } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { named, names, World } from './world.ts'

interface ThreeMethods extends OutboxSource {
  /** the limits that were asked for */
  readonly limits: number[]
  isAway: boolean
  /** aggregates that somebody took out of it */
  readonly hidden: Set<string>
}

/** A store with the three methods of the trait and no more. */
function threeMethods({ store }: World): ThreeMethods {
  const away = (): void => {
    if (three.isAway) throw new OutboxError('unavailable', 'gone', { system: 'database' })
  }
  const three = {
    limits: [] as number[],
    isAway: false,
    hidden: new Set<string>(),
    async fetchUnpublished(limit: number) {
      away()
      three.limits.push(limit)
      const entries = await store.fetchUnpublished(1_000_000)
      return entries.filter(({ aggregateId }) => !three.hidden.has(aggregateId)).slice(0, limit)
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
  test('and a broker that fences: the next relay goes on where one was', async () => {
    const world = new World()
    const broker = recordingPublisher(undefined, { fences: true })
    const store = threeMethods(world)
    for (const id of ['a', 'a']) {
      await world.enqueue(id)
      const { relay } = world.relay(broker, { store })
      await relay.start()
      await world.clock.advanceUntil(() => world.store.isEmpty)
      await relay.stop()
    }
    expect(broker.published.map(named)).toEqual(['a 1', 'a 2'])
  })

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

  test('counts no attempt of an entry whose destination is away', async () => {
    const world = new World()
    let isAway = true
    const broker = recordingPublisher(() => (isAway ? { status: 'unknown', error } : undefined))
    const probe = (): Promise<void> => (isAway ? Promise.reject(error) : Promise.resolve())
    const { relay, journal } = world.relay({ ...broker, probe }, { store: threeMethods(world) })
    await world.enqueue('a')
    await relay.start()
    await world.clock.advanceUntil(() => journal.count('retry') === 1)
    isAway = false
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.sent.map(({ attempt }) => attempt)).toEqual([1, 1])
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
    await world.clock.advance(10_000)
    expect(broker.published.map(named)).toEqual(['free 1'])
    expect(broker.sent).toHaveLength(51)
    await relay.stop()
  })

  test('is read once a look, however many wait', async () => {
    const world = new World()
    const broker = recordingPublisher(({ aggregateId }) =>
      aggregateId.startsWith('dead') ? { status: 'reject', error } : undefined,
    )
    const three = threeMethods(world)
    const { relay, journal } = world.relay(broker, { store: three })
    await world.enqueue(...names('dead', 50))
    await relay.start()
    await world.clock.advance(30_000)
    three.limits.length = 0
    await world.clock.advance(100_000)
    expect(new Set(three.limits)).toEqual(new Set([51]))
    expect(three.limits.length).toBeLessThan(112)
    expect(journal.count('warning')).toBe(0)
    await relay.stop()
  })

  test('is read 10,000 entries far and no further, which is told, until what is in front has gone', async () => {
    const world = new World()
    const broker = recordingPublisher(({ aggregateId }) =>
      aggregateId === 'blocked' ? { status: 'reject', error } : undefined,
    )
    const three = threeMethods(world)
    const { relay, journal } = world.relay(broker, { store: three, onDead: 'block' })
    await world.enqueue(...Array<string>(9_999).fill('blocked'), 'seen')
    await relay.start()
    await world.clock.advanceUntil(() => broker.published.length === 1)
    await world.enqueue('blocked', 'unseen')
    await world.clock.advance(60_000)
    expect(broker.published.map(named)).toEqual(['seen 1'])
    expect(Math.max(...three.limits)).toBe(10_000)
    expect(journal.of('warning').map(({ message }) => message)).toEqual([
      expect.stringMatching(/^The 10000 oldest unpublished entries wait or are dead letters/),
    ])
    three.hidden.add('blocked')
    await world.clock.advanceUntil(() => broker.published.length === 2)
    expect(broker.published.map(named)).toEqual(['seen 1', 'unseen 1'])
    await relay.stop()
  })

  test('frees an aggregate when the dead letter that blocks it is marked as published', async () => {
    const world = new World()
    const broker = recordingPublisher(({ sequence }) => (sequence === 1 ? { status: 'reject', error } : undefined))
    const three = threeMethods(world)
    const { relay, journal } = world.relay(broker, { store: three, onDead: 'block' })
    await world.enqueue('a', 'a')
    await relay.start()
    await world.clock.advance(10_000)
    expect(broker.sent.map(named)).toEqual(['a 1'])
    await three.markPublished(journal.of('dead').map(({ entry }) => entry.id))
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.sent.map(named)).toEqual(['a 1', 'a 2'])
    await relay.stop()
  })

  test('is remembered nothing of that it does not show any more', async () => {
    const world = new World()
    const broker = recordingPublisher(({ aggregateId }) =>
      aggregateId === 'dead' ? { status: 'reject', error } : undefined,
    )
    const three = threeMethods(world)
    const { relay, journal } = world.relay(broker, { store: three })
    await world.enqueue('dead', 'fine')
    await relay.start()
    await world.clock.advance(10_000)
    three.hidden.add('dead')
    await world.clock.advance(10_000)
    three.hidden.clear()
    await world.clock.advance(10_000)
    expect(journal.of('dead').map(({ entry }) => `${named(entry)} #${entry.attempt}`)).toEqual([
      'dead 1 #1',
      'dead 1 #1',
    ])
    await relay.stop()
  })

  test('is not believed about what came after it was asked', async () => {
    const world = new World()
    const broker = recordingPublisher(() => ({ status: 'reject', error }))
    const three = threeMethods(world)
    let isReading = false
    const slowly = async (limit: number): Promise<readonly OutboxEntry[]> => {
      const entries = await three.fetchUnpublished(limit)
      isReading = limit === 1
      if (isReading) await new Promise<void>((resolve) => world.clock.schedule(resolve, 500))
      return entries
    }
    const { relay, journal } = world.relay(broker, { store: { ...three, fetchUnpublished: slowly } })
    await relay.start()
    await world.clock.advance(10_000)
    isReading = false
    await world.clock.advanceUntil(() => isReading)
    await world.enqueue('a')
    relay.wake()
    await world.clock.advance(100)
    expect(journal.count('dead')).toBe(1)
    await world.clock.advance(10_000)
    expect(journal.count('dead')).toBe(1)
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
