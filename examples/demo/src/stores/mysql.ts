import { mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { eq, sql } from 'drizzle-orm'
import { int, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { drizzle } from 'drizzle-orm/mysql2'
import { createPool } from 'mysql2/promise'
import { batchesOfOrders, type Change, ChangedMind, type DemoStore, eventOf } from './store.ts'

const orders = mysqlTable('orders', {
  id: varchar('id', { length: 64 }).primaryKey(),
  changes: int('changes').notNull(),
})

const changes = mysqlTable('changes', {
  eventId: varchar('event_id', { length: 36 }).primaryKey(),
  orderId: varchar('order_id', { length: 64 }).notNull(),
  revision: int('revision').notNull(),
})

/** MySQL or MariaDB, in a database of the demo's own. */
export function mysqlStore(url: string): DemoStore {
  const pool = createPool({ uri: url, connectionLimit: 10 })
  const db = drizzle({ client: pool })
  const outbox = mysqlOutbox({ db })
  return {
    outbox,
    async setUp(orderIds) {
      await db.execute(sql`create table orders (id varchar(64) primary key, changes int not null)`)
      await db.execute(
        sql`create table changes (event_id varchar(36) primary key, order_id varchar(64) not null, revision int not null)`,
      )
      for (const batch of batchesOfOrders(orderIds)) await db.insert(orders).values(batch)
      await setup(db)
    },
    async change({ eventId, orderId }: Change, rollBack: boolean) {
      await db.transaction(async (tx) => {
        const isIt = eq(orders.id, orderId)
        await tx.update(orders).set({ changes: sql`changes + 1` }).where(isIt)
        const [order] = await tx.select().from(orders).where(isIt)
        if (!order) throw new Error(`there is no ${orderId}`)
        const written = { eventId, orderId, revision: order.changes }
        await tx.insert(changes).values(written)
        await outbox.enqueue(tx, eventOf(written))
        if (rollBack) throw new ChangedMind()
      })
    },
    count: () => db.$count(changes),
    committed: () => db.select().from(changes),
    close: () => pool.end(),
  }
}
