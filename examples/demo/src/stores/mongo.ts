import { mongoOutbox, setup } from '@outbox/mongo'
import { MongoClient } from 'mongodb'
import { type Change, ChangedMind, type DemoStore, eventOf } from './store.ts'

/** MongoDB, in a database of the demo's own. Transactions that meet are run again by the driver. */
export function mongoStore(url: string): DemoStore {
  const client = new MongoClient(url)
  const db = client.db()
  const orders = db.collection<{ readonly _id: string; readonly changes: number }>('orders')
  const changes = db.collection<{ readonly _id: string; readonly orderId: string; readonly revision: number }>(
    'changes',
  )
  const outbox = mongoOutbox({ client, db })
  return {
    outbox,
    async setUp(orderIds) {
      await orders.insertMany(orderIds.map((_id) => ({ _id, changes: 0 })))
      await db.createCollection('changes')
      await setup(db)
    },
    async change({ eventId, orderId }: Change, rollBack: boolean) {
      await client.withSession((session) =>
        session.withTransaction(async () => {
          const order = await orders.findOneAndUpdate(
            { _id: orderId },
            { $inc: { changes: 1 } },
            { session, returnDocument: 'after' },
          )
          if (order === null) throw new Error(`there is no ${orderId}`)
          const { changes: revision } = order
          await changes.insertOne({ _id: eventId, orderId, revision }, { session })
          await outbox.enqueue(session, eventOf({ eventId, orderId, revision }))
          if (rollBack) throw new ChangedMind()
        }),
      )
    },
    count: () => changes.countDocuments(),
    async committed() {
      const all = await changes.find().toArray()
      return all.map(({ _id: eventId, orderId, revision }) => ({ eventId, orderId, revision }))
    },
    close: () => client.close(),
  }
}
