// A shop on MongoDB, with a publisher of its own.
import { event, publisher } from '@outbox/core'
import { mongoInbox, mongoOutbox, setup, setupInbox } from '@outbox/mongo'
import { createRelay } from '@outbox/relay'
import { MongoClient } from 'mongodb'

const client = new MongoClient(process.env['MONGODB_URI'] ?? '')
const db = client.db()
await setup(db)
await setupInbox(db)
const outbox = mongoOutbox({ client, db })
const inbox = mongoInbox({ client, db })

await client.withSession((session) =>
  session.withTransaction(async () => {
    await outbox.enqueue(session, event('order.placed', { aggregateId: '7', payload: {} }))
  }),
)
const handled: boolean[] = []
const consumer = publisher({
  name: 'consumer',
  async send({ id }) {
    for (let delivery = 0; delivery < 2; delivery++) {
      const isFirst = await client.withSession((session) =>
        session.withTransaction(async () => inbox.once(session, 'consumer', id, () => undefined)),
      )
      handled.push(isFirst)
    }
  },
})
await createRelay({ store: outbox, publisher: consumer }).tick()
await client.close()
if (handled.join() !== 'true,false') throw new Error(`handled: ${handled.join()}`)
