// A shop on MySQL, with a publisher of its own.
import { event, publisher } from '@outbox/core'
import { mysqlInbox, mysqlOutbox, setup, setupInbox } from '@outbox/drizzle/mysql'
import { inboxTable, outboxTables } from '@outbox/drizzle/mysql/schema'
import { createRelay } from '@outbox/relay'
import { drizzle } from 'drizzle-orm/mysql2'
import { createPool } from 'mysql2/promise'

export const tables = { ...outboxTables(), inbox: inboxTable() }
const pool = createPool(process.env['MYSQL_URL'] ?? '')
const db = drizzle({ client: pool })
await setup(db)
await setupInbox(db)
const outbox = mysqlOutbox({ db })
const inbox = mysqlInbox({ db })

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
await pool.end()
if (handled.join() !== 'true,false') throw new Error(`handled: ${handled.join()}`)
