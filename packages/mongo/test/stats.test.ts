import { type DueEntry, event, type Settlement } from '@outbox/core'
import { mongoOutbox, setup } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { MongoClient } from 'mongodb'
import { expect, it } from 'vitest'
import { newName, transaction } from './mongo-databases.ts'

describeWith('mongo', 'stats', () => {
  it('reads what is pending and what is dead by their indexes, whatever has been published', async () => {
    const client = new MongoClient(await sharedMongo(), { monitorCommands: true })
    const db = client.db(newName())
    const outbox = mongoOutbox({ client, db })
    await setup(db)
    const produce = (aggregateId: string, count: number) =>
      transaction(client, (session) =>
        outbox.enqueue(
          session,
          Array.from({ length: count }, () => event('order.placed', { aggregateId, payload: {} })),
        ),
      )
    const holder = 'relay'
    await outbox.join({ holder })
    const { leases: claims } = await outbox.poll({ holder })
    const leases = await outbox.acquire({ holder, claims, evict: [] })
    const settleAll = async (said: (entry: DueEntry) => Settlement) => {
      const batch = await outbox.fetch({ leases, limit: 1000, limitPerAggregate: 1000, maxBytes: 1e6 })
      await outbox.settle({ leases, settlements: batch.map(said) })
    }
    await produce('published', 1000)
    await settleAll((entry) => ({ entry, outcome: 'published' }))
    await produce('dead', 2)
    await settleAll((entry) => ({ entry, outcome: 'dead', reason: 'no such subject', blocksAggregate: false }))
    await produce('pending', 3)

    const pipelines: Record<string, unknown>[][] = []
    client.on('commandStarted', ({ command }) => {
      if ('aggregate' in command) pipelines.push(command['pipeline'])
    })
    expect(await outbox.stats()).toMatchObject({ pending: 3, dead: 2 })
    expect(pipelines).toHaveLength(2)
    const [order, dead] = pipelines.toSorted((a, b) => JSON.stringify(b).localeCompare(JSON.stringify(a)))
    // a server may join the index of ids to it
    expect(await indexesOf(order)).toContain('order')
    expect(await indexesOf(dead)).toContain('dead')
    await db.dropDatabase()
    await client.close()

    /** the indexes in the plan of a pipeline on the entries */
    async function indexesOf(pipeline: Record<string, unknown>[] = []): Promise<readonly string[]> {
      const explained = await db.collection('outbox_entries').aggregate(pipeline).explain('queryPlanner')
      const names = JSON.stringify(explained).matchAll(/"indexName":"([^"]*)"/g)
      return [...new Set([...names].map(([, name = '']) => name))]
    }
  })
})
