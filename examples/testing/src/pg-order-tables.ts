import { sql } from 'drizzle-orm'
import { integer, type PgDatabase, type PgQueryResultHKT, pgTable, text } from 'drizzle-orm/pg-core'
import type { OrderTables } from './orders.ts'

export const orders = pgTable('orders', {
  id: text().primaryKey(),
  customer: text().notNull(),
  cents: integer().notNull(),
})

export const debts = pgTable('debts', {
  customer: text().primaryKey(),
  cents: integer().notNull(),
})

/** over node-postgres in production, over PGlite in a test */
export type Database = PgDatabase<PgQueryResultHKT>
export type Transaction = Parameters<Parameters<Database['transaction']>[0]>[0]

/** The service's tables in PostgreSQL. */
export function pgOrderTables(db: Database): OrderTables<Transaction> {
  return {
    transaction: (work) => db.transaction(work),
    async insertOrder(tx, order) {
      await tx.insert(orders).values(order)
    },
    async addDebt(tx, customer, cents) {
      const [debt] = await tx
        .insert(debts)
        .values({ customer, cents })
        .onConflictDoUpdate({ target: debts.customer, set: { cents: sql`${debts.cents} + ${cents}` } })
        .returning()
      if (!debt) throw new Error('PostgreSQL returned no row for the debt')
      return debt.cents
    },
  }
}

/** In production, a migration of drizzle-kit does this. */
export async function createTables(db: Database): Promise<void> {
  await db.execute(sql`create table orders (id text primary key, customer text not null, cents integer not null)`)
  await db.execute(sql`create table debts (customer text primary key, cents integer not null)`)
}
