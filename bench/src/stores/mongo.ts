import { mongoOutbox, setup } from '@outbox/mongo'
import { MongoClient } from 'mongodb'
import type { StoreModule } from './store.ts'

export const mongoStore: StoreModule = {
  title: 'MongoDB',
  async create(url) {
    await using client = new MongoClient(url)
    await setup(client.db())
  },
  async open(url) {
    const client = new MongoClient(url)
    const db = client.db()
    const outbox = mongoOutbox({ client, db })
    return {
      outbox,
      commit: (events) =>
        client.withSession((session) => session.withTransaction(() => outbox.enqueue(session, events))),
      left: () => db.collection('outbox_entries').countDocuments({ state: { $ne: 'published' } }),
      close: () => client.close(),
    }
  },
}
