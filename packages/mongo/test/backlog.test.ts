import { type DueEntry, event, type OutboxStore, partitionOf, type Settlement } from '@outbox/core'
import { type MongoSession, mongoOutbox, setup } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { MongoClient } from 'mongodb'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { emptied, newName, transaction } from './mongo-databases.ts'

const limits = { limit: 200, limitPerAggregate: 30, maxBytes: 1e6 }

describeWith('mongo', 'a backlog', () => {
  let client: MongoClient
  let store: OutboxStore<MongoSession>
  let opened: Parameters<typeof emptied>[0]
  const sent: string[] = []
  beforeAll(async () => {
    client = new MongoClient(await sharedMongo(), { monitorCommands: true })
    client.on('commandStarted', ({ commandName }) => void sent.push(commandName))
    const name = newName()
    opened = { client, db: client.db(name), [Symbol.asyncDispose]: () => client.close() }
    await setup(opened.db)
    store = mongoOutbox(opened)
  })
  afterAll(async () => {
    await opened.db.dropDatabase()
    await client.close()
  })
  beforeEach(() => emptied(opened))

  const produce = (events: Parameters<typeof store.enqueue>[1]) =>
    transaction(opened.client, (session) => store.enqueue(session, events))
  const join = async () => {
    const holder = crypto.randomUUID()
    await store.join({ holder })
    const { leases: claims } = await store.poll({ holder })
    return store.acquire({ holder, claims, evict: [] })
  }
  const idsIn = (partition: number, count: number): string[] => {
    const ids: string[] = []
    for (let n = 0; ids.length < count; n++) if (partitionOf('order', `a-${n}`) === partition) ids.push(`a-${n}`)
    return ids
  }
  const settle = (leases: Awaited<ReturnType<typeof join>>, batch: readonly DueEntry[]) =>
    store.settle({ leases, settlements: batch.map((entry): Settlement => ({ entry, outcome: 'published' })) })

  it('costs seven commands a batch, whatever the size of the batch', async () => {
    // ten aggregates in each of four partitions, thirty entries in each aggregate, in turns
    const ids = [0, 1, 2, 3].flatMap((partition) => idsIn(partition, 10))
    for (let n = 0; n < 30; n++) {
      await produce(ids.map((aggregateId) => event('order.placed', { aggregateId, payload: { n } })))
    }
    const leases = (await join()).slice(0, 4)
    await settle(leases, await store.fetch({ leases, ...limits, limit: 40 }))
    sent.length = 0
    const batch = await store.fetch({ leases, ...limits, limit: 100 })
    expect(batch).toHaveLength(100)
    await settle(leases, batch)
    expect(sent.toSorted()).toEqual(['aggregate', 'aggregate', 'find', 'find', 'update', 'update', 'update'])
  })

  it('is lent in the order of its sequences, large payloads among small ones, whatever stands behind what was met', async () => {
    const sizes = [10, 5_000, 4_000, 20_000]
    const ids = idsIn(0, 5)
    // the highest numbers first: what a look meets at the front comes last
    const sequences = Array.from({ length: 120 }, (_, n) => 10 * (120 - n))
    for (let from = 0; from < sequences.length; from += 10) {
      const some = sequences.slice(from, from + 10)
      const text = (sequence: number) => 'x'.repeat(sizes[(sequence / 10) % 4] ?? 0)
      await produce(
        ids.flatMap((aggregateId) =>
          some.map((sequence) => event('order.placed', { aggregateId, sequence, payload: { text: text(sequence) } })),
        ),
      )
    }
    const leases = (await join()).slice(0, 1)
    const lent = new Map(ids.map((id): [string, number[]] => [id, []]))
    for (;;) {
      const batch = await store.fetch({ leases, ...limits })
      if (batch.length === 0) break
      for (const { aggregateId, sequence, payload } of batch) {
        lent.get(aggregateId)?.push(sequence)
        expect(payload, String(sequence)).toBe(JSON.stringify({ text: 'x'.repeat(sizes[(sequence / 10) % 4] ?? 0) }))
      }
      await settle(leases, batch)
    }
    for (const id of ids) expect(lent.get(id), id).toEqual(sequences.toReversed())
  })
})
