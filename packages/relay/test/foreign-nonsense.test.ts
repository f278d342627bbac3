import { event, OutboxError, type Publisher } from '@outbox/core'
import { memoryOutbox, recordingPublisher } from '@outbox/memory'
import { expect, test } from 'vitest'
import { createRelay } from '../src/index.ts'

const order = event('order.placed', { aggregateId: '1', payload: {} })

test('where partitions cannot be claimed, the ones that are held are worked on all the same', {
  timeout: 60_000,
}, async () => {
  const { subscribe: _, ...store } = memoryOutbox()
  const busy = new OutboxError('busy', 'somebody holds a row', { system: 'postgresql' })
  let refusals = 0
  const half: typeof store.acquire = async (request) => {
    if (request.claims.length === 64) return store.acquire({ ...request, claims: request.claims.slice(0, 32) })
    refusals += 1
    throw busy
  }
  const published = Promise.withResolvers<void>()
  await using relay = createRelay({
    store: { ...store, acquire: half },
    publisher: recordingPublisher(),
    pollIntervalMs: 20,
    on: { published: () => published.resolve() },
  })
  await relay.start()
  await expect.poll(() => refusals).toBeGreaterThan(1)
  const ofAllPartitions = Array.from({ length: 500 }, (__, n) =>
    event('order.placed', { aggregateId: `${n}`, payload: {} }),
  )
  await store.transaction((tx) => store.enqueue(tx, ofAllPartitions))
  await published.promise
})

test('an epoch that is none is told as a bug of the publisher, and claims no lease above it', async () => {
  const store = memoryOutbox()
  await store.transaction((tx) => store.enqueue(tx, order))
  let epoch = Number.NaN
  const recording = recordingPublisher()
  const publisher: Publisher = {
    ...recording,
    publish: async (entries, call) =>
      Number.isNaN(epoch) ? entries.map(() => ({ status: 'fenced', epoch })) : recording.publish(entries, call),
  }
  const errors: unknown[] = []
  const make = () =>
    createRelay({
      store,
      publisher,
      leaseMs: 800,
      pollIntervalMs: 50,
      publishTimeoutMs: 100,
      on: { error: ({ error }) => errors.push(error) },
    })
  await using broken = make()
  await broken.tick()
  expect(errors).toEqual([expect.objectContaining({ code: 'callback-failed' })])
  epoch = 0
  await using mended = make()
  await expect.poll(async () => (await mended.tick()).published, { timeout: 60_000 }).toBe(1)
})

test('a function that listens twice is called until each of its subscriptions is disposed of', async () => {
  const store = memoryOutbox()
  await using relay = createRelay({ store, publisher: recordingPublisher() })
  let calls = 0
  const count = (): void => void calls++
  const first = relay.on('published', count)
  using _second = relay.on('published', count)
  first[Symbol.dispose]()
  await store.transaction((tx) => store.enqueue(tx, order))
  await relay.tick()
  expect(calls).toBe(1)
})

test('what is no error, and no text either, ends nothing: it is a process warning', async () => {
  const store = memoryOutbox()
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
  await using relay = createRelay({
    store,
    publisher: recordingPublisher(),
    on: {
      published: () => {
        throw Object.create(null)
      },
    },
  })
  await store.transaction((tx) => store.enqueue(tx, order))
  expect(await relay.tick()).toMatchObject({ published: 1 })
  expect((await warned).message).toBe('an unprintable error')
})

test('a publisher that fences lets relays of a store without leases follow one another', async () => {
  const { enqueue, fetchUnpublished, markPublished, transaction } = memoryOutbox()
  const publisher = recordingPublisher(undefined, { fences: true })
  const store = { enqueue, fetchUnpublished, markPublished }
  for (let round = 1; round <= 2; round++) {
    await transaction((tx) => enqueue(tx, order))
    await transaction((tx) => enqueue(tx, event('order.paid', { aggregateId: '1', payload: {} })))
    await using relay = createRelay({ store, publisher })
    await relay.tick()
  }
  expect(publisher.published).toHaveLength(4)
})
