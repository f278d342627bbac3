import { event } from '@outbox/core'
import { mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { sql } from 'drizzle-orm'
import { mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { drizzle } from 'drizzle-orm/mysql2'
import { createPool } from 'mysql2/promise'
import { type Change, ChangedMind, type DemoStore } from './store.ts'

const changes = mysqlTable('changes', {
  eventId: varchar('event_id', { length: 36 }).primaryKey(),
  orderId: varchar('order_id', { length: 64 }).notNull(),
})

/** MySQL or MariaDB, in a database of the demo's own. */
export function mysqlStore(url: string): DemoStore {
  const pool = createPool({ uri: url, connectionLimit: 10 })
  const db = drizzle({ client: pool })
  const outbox = mysqlOutbox({ db })
  return {
    outbox,
    async setUp() {
      await db.execute(sql`create table changes (event_id varchar(36) primary key, order_id varchar(64) not null)`)
      await setup(db)
    },
    async change({ eventId, orderId }: Change, rollBack: boolean) {
      await db.transaction(async (tx) => {
        await tx.insert(changes).values({ eventId, orderId })
        await outbox.enqueue(tx, event('order.changed', { id: eventId, aggregateId: orderId, payload: { orderId } }))
        if (rollBack) throw new ChangedMind()
      })
    },
    count: () => db.$count(changes),
    committed: () => db.select().from(changes),
    close: () => pool.end(),
  }
}
