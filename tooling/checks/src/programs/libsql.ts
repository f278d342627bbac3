// A shop on libsql: asynchronous.
import { createClient } from '@libsql/client'
import { event, publisher } from '@outbox/core'
import { setup, setupInbox, sqliteInbox, sqliteOutbox } from '@outbox/drizzle/sqlite'
import { createRelay } from '@outbox/relay'
import { drizzle } from 'drizzle-orm/libsql'

const client = createClient({ url: 'file:shop.db' })
const db = drizzle({ client })
await setup(db)
await setupInbox(db)
const outbox = sqliteOutbox({ db })
const inbox = sqliteInbox({ db })

await db.transaction(async (tx) => {
  await outbox.enqueue(tx, event('order.placed', { aggregateId: '7', payload: {} }))
})
const handled: boolean[] = []
const consumer = publisher({
  name: 'consumer',
  async send({ id }) {
    for (let delivery = 0; delivery < 2; delivery++) {
      handled.push(await db.transaction(async (tx) => inbox.once(tx, 'consumer', id, () => undefined)))
    }
  },
})
await createRelay({ store: outbox, publisher: consumer }).tick()
client.close()
if (handled.join() !== 'true,false') throw new Error(`handled: ${handled.join()}`)
