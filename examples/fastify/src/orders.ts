import { type Enqueue, event } from '@outbox/core'
import type { PgTransaction } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'

const orders = pgTable('orders', {
  id: uuid().primaryKey().defaultRandom(),
  article: text().notNull(),
  cents: integer().notNull(),
})

export type Order = typeof orders.$inferSelect
export type WantedOrder = Omit<Order, 'id'>

/** Takes money, which takes time. It runs inside the transaction here to have a request that is long under way. */
export type Charge = (cents: number) => Promise<void>

export interface Orders {
  /** Places an order and tells of it, in one transaction. Rejects if it cannot be charged: then nothing has happened. */
  place(wanted: WantedOrder): Promise<Order>
}

export function ordersIn(db: NodePgDatabase, outbox: Enqueue<PgTransaction>, charge: Charge): Orders {
  return {
    place: (wanted) =>
      db.transaction(async (tx) => {
        const [order] = await tx.insert(orders).values(wanted).returning()
        if (!order) throw new Error('the database gave no order back')
        await outbox.enqueue(tx, event('order.placed', { aggregateId: order.id, payload: wanted }))
        await charge(order.cents)
        return order
      }),
  }
}

export async function createTables(db: NodePgDatabase): Promise<void> {
  await db.execute(
    sql`create table orders (id uuid primary key default gen_random_uuid(), article text not null, cents integer not null)`,
  )
}

export async function countOrders(db: NodePgDatabase): Promise<number> {
  return db.$count(orders)
}
