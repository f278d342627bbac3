import { randomBytes } from 'node:crypto'
import { mongoOutbox, setup } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { MongoClient } from 'mongodb'
import { afterAll, beforeAll } from 'vitest'
import { describeModel } from '../src/index.ts'

describeWith('mongo', 'MongoDB', () => {
  let client: MongoClient
  beforeAll(async () => {
    client = new MongoClient(await sharedMongo())
    await client.connect()
  })
  afterAll(() => client.close())

  // collections are slow to make: all histories share them, emptied
  const name = `outbox_test_${randomBytes(6).toString('hex')}`
  afterAll(async () => void (await client.db(name).dropDatabase()))

  describeModel(
    'MongoDB',
    async () => {
      const db = client.db(name)
      await setup(db)
      for (const collection of await db.collections()) await collection.deleteMany({})
      await setup(db) // the layout's version was one of the documents
      return {
        store: mongoOutbox({ client, db }),
        transaction: (work) => client.withSession((session) => session.withTransaction(async () => work(session))),
        close: async () => undefined,
      }
    },
    {
      capabilities: {
        waitsForWriters: { leftOut: 'MongoDB tells a write conflict at once' },
        waitsByAggregate: { leftOut: 'each entry has a wait of its own' },
        seesPurges: { leftOut: 'a transaction reads the snapshot that its first read took' },
      },
    },
  )
})
