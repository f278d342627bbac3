import { type Enqueue, event } from '@outbox/core'
import type { PgTransaction } from '@outbox/drizzle/pg'
import { and, eq, gt, sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { boolean, integer, pgTable, text } from 'drizzle-orm/pg-core'

const orders = pgTable('orders', {
  id: text().primaryKey(),
  article: text().notNull(),
  cents: integer().notNull(),
  isPaid: boolean('is_paid').notNull().default(false),
})

const stock = pgTable('stock', {
  article: text().primaryKey(),
  left: integer().notNull(),
})

export type Order = Pick<typeof orders.$inferSelect, 'id' | 'article' | 'cents'>
/** what `order.placed` carries */
export type OrderPlaced = Omit<Order, 'id'>

export class SoldOut extends Error {}
class NothingToPay extends Error {}

/** The application: each change and the event that tells of it stand in one transaction. */
export class Shop {
  readonly #db: NodePgDatabase
  readonly #outbox: Enqueue<PgTransaction>

  constructor(db: NodePgDatabase, outbox: Enqueue<PgTransaction>) {
    this.#db = db
    this.#outbox = outbox
  }

  async fillStock(article: string, pieces: number): Promise<void> {
    await this.#db.insert(stock).values({ article, left: pieces })
  }

  /** @throws {SoldOut} and nothing has happened: no order, no event */
  async placeOrder({ id, article, cents }: Order): Promise<void> {
    await this.#db.transaction(async (tx) => {
      await tx.insert(orders).values({ id, article, cents })
      await this.#outbox.enqueue(tx, event('order.placed', { aggregateId: id, payload: { article, cents } }))
      const taken = await tx
        .update(stock)
        .set({ left: sql`${stock.left} - 1` })
        .where(and(eq(stock.article, article), gt(stock.left, 0)))
        .returning()
      if (taken.length === 0) throw new SoldOut(article)
    })
  }

  /** @throws {NothingToPay} if there is no such order, or it is paid: what did not change is not told */
  async payOrder(id: string): Promise<void> {
    await this.#db.transaction(async (tx) => {
      const paid = await tx
        .update(orders)
        .set({ isPaid: true })
        .where(and(eq(orders.id, id), eq(orders.isPaid, false)))
        .returning()
      if (paid.length === 0) throw new NothingToPay(id)
      await this.#outbox.enqueue(tx, event('order.paid', { aggregateId: id, payload: {} }))
    })
  }
}

export async function createTables(db: NodePgDatabase): Promise<void> {
  await db.execute(sql`
    create table orders (id text primary key, article text not null, cents integer not null, is_paid boolean not null default false);
    create table stock (article text primary key, "left" integer not null);
    create table invoices (event_id uuid primary key, order_id text not null, cents integer not null)`)
}
