import { event } from '@outbox/core'
import { mongoOutbox, setup } from '@outbox/mongo'
import { MongoClient } from 'mongodb'
import { type Change, ChangedMind, type DemoStore } from './store.ts'

/** MongoDB, in a database of the demo's own. Transactions that meet are run again by the driver. */
export function mongoStore(url: string): DemoStore {
  const client = new MongoClient(url)
  const db = client.db()
  const changes = db.collection<{ readonly _id: string; readonly orderId: string }>('changes')
  const outbox = mongoOutbox({ client, db })
  return {
    outbox,
    async setUp() {
      await db.createCollection('changes')
      await setup(db)
    },
    async change({ eventId, orderId }: Change, rollBack: boolean) {
      await client.withSession((session) =>
        session.withTransaction(async () => {
          await changes.insertOne({ _id: eventId, orderId }, { session })
          const changed = event('order.changed', { id: eventId, aggregateId: orderId, payload: { orderId } })
          await outbox.enqueue(session, changed)
          if (rollBack) throw new ChangedMind()
        }),
      )
    },
    count: () => changes.countDocuments(),
    committed: async () => (await changes.find().toArray()).map(({ _id, orderId }) => ({ eventId: _id, orderId })),
    close: () => client.close(),
  }
}
