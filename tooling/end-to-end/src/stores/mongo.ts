import type { DomainEvent, Receipt } from '@outbox/core'
import { mongoOutbox, setup } from '@outbox/mongo'
import { MongoClient } from 'mongodb'
import type { Application } from '../application.ts'

/** An application on MongoDB. `withTransaction` runs a transaction again that met another. */
export function openMongo(url: string): Application {
  const client = new MongoClient(url)
  const db = client.db()
  const outbox = mongoOutbox({ client, db })
  const committed = db.collection<{ _id: string }>('committed')
  const write = (events: readonly DomainEvent[], beforeEnd: () => void): Promise<readonly Receipt[]> =>
    client.withSession((session) =>
      session.withTransaction(async () => {
        const receipts = await outbox.enqueue(session, events)
        await committed.insertMany(
          receipts.map(({ id }) => ({ _id: id })),
          { session },
        )
        beforeEnd()
        return receipts
      }),
    )
  return {
    outbox,
    write,
    commit: (...events) => write(events, () => undefined),
    committed: async () => (await committed.find().toArray()).map(({ _id }) => _id),
    endings: async () => {
      const entries = await db.collection('outbox_entries').find().sort({ _id: 1 }).toArray()
      return entries.map(({ _id, endedAt }) => `${_id} ${endedAt}`)
    },
    [Symbol.asyncDispose]: () => client.close(),
  }
}

export async function createMongo(url: string): Promise<Application> {
  await using client = new MongoClient(url)
  await client.db().createCollection('committed')
  await setup(client.db())
  return openMongo(url)
}
