// A shop on better-sqlite3: synchronous.
import { event, publisher } from '@outbox/core'
import { setup, setupInbox, sqliteInbox, sqliteOutbox } from '@outbox/drizzle/sqlite'
import { outboxTables } from '@outbox/drizzle/sqlite/schema'
import { createRelay } from '@outbox/relay'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'

export const tables = outboxTables()
const client = new Database(':memory:')
const db = drizzle({ client })
setup(db)
setupInbox(db)
const outbox = sqliteOutbox({ db })
const inbox = sqliteInbox({ db })

db.transaction((tx) => {
  outbox.enqueue(tx, event('order.placed', { aggregateId: '7', payload: {} }))
})
const handled: boolean[] = []
const consumer = publisher({
  name: 'consumer',
  send({ id }) {
    for (let delivery = 0; delivery < 2; delivery++) {
      db.transaction((tx) => {
        handled.push(inbox.once(tx, 'consumer', id, () => undefined))
      })
    }
  },
})
await createRelay({ store: outbox, publisher: consumer }).tick()
client.close()
if (handled.join() !== 'true,false') throw new Error(`handled: ${handled.join()}`)
