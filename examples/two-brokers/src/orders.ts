import { type Enqueue, event } from '@outbox/core'
import type { PgTransaction } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { pgTable, text } from 'drizzle-orm/pg-core'

const orders = pgTable('orders', {
  id: text().primaryKey(),
  state: text().notNull(),
})

export type OrderState = 'placed' | 'invoiced' | 'commented' | 'shipped'

/** Moves an order on, and tells of it, in one transaction. */
export async function moveOrder(
  { db, outbox }: { readonly db: NodePgDatabase; readonly outbox: Enqueue<PgTransaction> },
  id: string,
  state: OrderState,
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.insert(orders).values({ id, state }).onConflictDoUpdate({ target: orders.id, set: { state } })
    await outbox.enqueue(tx, event(`order.${state}`, { aggregateId: id, payload: {} }))
  })
}

export async function createTables(db: NodePgDatabase): Promise<void> {
  await db.execute(sql`create table orders (id text primary key, state text not null)`)
}
