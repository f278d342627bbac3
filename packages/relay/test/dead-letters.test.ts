import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { named, World } from './world.ts'

const error = new Error('never')

describe('a dead letter', () => {
  test('under skip lets its aggregate go on; requeued, it is published later than its successors', async () => {
    const world = new World()
    let isRefused = true
    const broker = recordingPublisher(({ sequence }) =>
      sequence === 1 && isRefused ? { status: 'reject', error } : undefined,
    )
    const { relay } = world.relay(broker)
    await world.enqueue('a', 'a', 'a')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.published.map(named)).toEqual(['a 2', 'a 3'])
    isRefused = false
    await requeueAll(world)
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.published.map(named)).toEqual(['a 2', 'a 3', 'a 1'])
    expect(broker.published.at(-1)?.deduplicationId).toMatch(/#1$/)
    await relay.stop()
  })

  test('under block holds its aggregate, alone, and requeued keeps the order', async () => {
    const world = new World()
    let isRefused = true
    const broker = recordingPublisher(({ aggregateId, sequence }) =>
      aggregateId === 'a' && sequence === 1 && isRefused ? { status: 'reject', error } : undefined,
    )
    const { relay, journal } = world.relay(broker, { onDead: 'block' })
    await world.enqueue('a', 'a', 'b', 'a')
    await relay.start()
    await world.clock.advance(30_000)
    expect(broker.published.map(named)).toEqual(['b 1'])
    expect(journal.of('dead').map(({ entry, reason }) => [named(entry), reason])).toEqual([['a 1', 'never']])
    isRefused = false
    await requeueAll(world)
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.published.map(named)).toEqual(['b 1', 'a 1', 'a 2', 'a 3'])
    await relay.stop()
  })

  test('comes after maxAttempts refusals, and none of an outage', async () => {
    const world = new World()
    const broker = recordingPublisher(() => ({ status: 'retry', error }))
    const { relay, journal } = world.relay(broker, { retry: { maxAttempts: 4 } })
    await world.enqueue('a')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.sent.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4])
    expect(journal.of('retry').map(({ retryInMs }) => retryInMs)).toEqual([50, 100, 200])
    expect(relay.stats()).toMatchObject({ published: 0, retried: 3, dead: 1 })
    await relay.stop()
  })

  test('comes sooner or later for those entries that retryFor names', async () => {
    const world = new World()
    const broker = recordingPublisher(() => ({ status: 'retry', error }))
    const { relay, journal } = world.relay(broker, {
      retry: { maxAttempts: 4 },
      retryFor: ({ aggregateId }) => (aggregateId === 'a' ? { maxAttempts: 2, minDelayMs: 1_000 } : undefined),
    })
    await world.enqueue('a', 'b')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(journal.of('dead').map(({ entry }) => [named(entry), entry.attempt])).toEqual([
      ['b 1', 4],
      ['a 1', 2],
    ])
    expect(journal.of('retry').find(({ entry }) => entry.aggregateId === 'a')?.retryInMs).toBe(500)
    await relay.stop()
  })

  test.each([
    ['throws', () => fail()],
    ['gives what cannot be', () => ({ maxAttempts: Number.NaN })],
    ['gives what is no option', () => ({ maxTries: 3 }) as object],
  ])('comes by the rules of `retry` where retryFor %s, and that is told', async (_, retryFor) => {
    const world = new World()
    const broker = recordingPublisher(() => ({ status: 'retry', error }))
    const { relay, journal } = world.relay(broker, { retry: { maxAttempts: 2 }, retryFor })
    await world.enqueue('a')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(journal.of('dead').map(({ entry }) => entry.attempt)).toEqual([2])
    expect(journal.of('error').map(({ during }) => during)).toEqual(['retryFor'])
    await relay.stop()
  })

  test('comes of a thrown value that has no text, too, and its neighbours are published once', async () => {
    const world = new World()
    const broker = recordingPublisher(
      ({ aggregateId }) => (aggregateId === 'a' ? { status: 'reject', error: Object.create(null) } : undefined),
      { deduplicates: false },
    )
    const { relay } = world.relay(broker, { lanes: 1 })
    await world.enqueue('a', 'b')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(await world.deadReasons()).toEqual(['an unprintable error'])
    expect(broker.published).toHaveLength(1)
    await relay.stop()
  })
})

async function requeueAll({ store }: World): Promise<void> {
  const dead = await store.deadLetters.list({ limit: 100 })
  await store.deadLetters.requeue(dead.map(({ entry }) => entry.id))
}

function fail(): never {
  throw new Error('a mistake in a callback')
}
