import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { batchesOfOrders, type Change, ChangedMind, type DemoStore, eventOf } from './store.ts'

const orders = pgTable('orders', {
  id: text('id').primaryKey(),
  changes: integer('changes').notNull(),
})

const changes = pgTable('changes', {
  eventId: uuid('event_id').primaryKey(),
  orderId: text('order_id').notNull(),
  revision: integer('revision').notNull(),
})

/**
 * PostgreSQL, in a database of the demo's own, or PGlite behind a socket: then every statement waits for the one
 * before, so wake-ups are left out and polling does the work.
 */
export function postgresStore(url: string, { isEmbedded }: { readonly isEmbedded: boolean }): DemoStore {
  const pool = new pg.Pool({ connectionString: url, max: isEmbedded ? 4 : 10 })
  pool.on('error', (error) => console.error(`database connection lost: ${error.message}`))
  pool.on('connect', (client) => client.on('error', () => {})) // in use: the next statement rejects
  const db = drizzle({ client: pool })
  const outbox = pgOutbox({ db, ...(isEmbedded ? { listen: false, notify: 'off' } : {}) })
  return {
    outbox,
    async setUp(orderIds) {
      await db.execute(sql`create table orders (id text primary key, changes integer not null)`)
      await db.execute(
        sql`create table changes (event_id uuid primary key, order_id text not null, revision integer not null)`,
      )
      for (const batch of batchesOfOrders(orderIds)) await db.insert(orders).values(batch)
      await setup(db)
    },
    async change({ eventId, orderId }: Change, rollBack: boolean) {
      await db.transaction(async (tx) => {
        const [order] = await tx
          .update(orders)
          .set({ changes: sql`${orders.changes} + 1` })
          .where(eq(orders.id, orderId))
          .returning()
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
