import { event } from '@outbox/core'
import type { SqliteOutbox } from '@outbox/drizzle/sqlite'
import { eq, sql } from 'drizzle-orm'
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

const orders = sqliteTable('orders', {
  id: text().primaryKey(),
  cents: integer().notNull(),
  isCancelled: integer('is_cancelled', { mode: 'boolean' }).notNull().default(false),
})

export type Order = Pick<typeof orders.$inferSelect, 'id' | 'cents'>
/** what `order.placed` and `order.cancelled` carry */
export type OrderChange = Pick<Order, 'cents'>

class UnknownOrder extends Error {}
export class InvalidOrder extends Error {}

/**
 * The application: each change and the event that tells of it stand in one transaction.
 *
 * better-sqlite3 is synchronous, so the callbacks are, and `enqueue` is done when it returns. `immediate` takes the
 * write lock at the beginning: other processes wait, instead of being told `busy` in the middle.
 */
export class Shop {
  readonly #db: BetterSQLite3Database
  readonly #outbox: Pick<SqliteOutbox, 'enqueue'>

  constructor(db: BetterSQLite3Database, outbox: Pick<SqliteOutbox, 'enqueue'>) {
    this.#db = db
    this.#outbox = outbox
  }

  /** @throws {InvalidOrder} and nothing has happened: none of the orders is placed, none of their events exists */
  placeOrders(wanted: readonly Order[]): void {
    this.#db.transaction(
      (tx) => {
        for (const { id, cents } of wanted) {
          if (cents <= 0) throw new InvalidOrder(id)
          tx.insert(orders).values({ id, cents }).run()
          this.#outbox.enqueue(tx, event('order.placed', { aggregateId: id, payload: { cents } }))
        }
      },
      { behavior: 'immediate' },
    )
  }

  /** @throws {UnknownOrder} */
  cancelOrder(id: string): void {
    this.#db.transaction(
      (tx) => {
        const order = tx.update(orders).set({ isCancelled: true }).where(eq(orders.id, id)).returning().get()
        if (!order) throw new UnknownOrder(id)
        this.#outbox.enqueue(tx, event('order.cancelled', { aggregateId: id, payload: { cents: order.cents } }))
      },
      { behavior: 'immediate' },
    )
  }
}

export function createTables(db: BetterSQLite3Database): void {
  db.run(
    sql`create table orders (id text primary key, cents integer not null, is_cancelled integer not null default 0)`,
  )
  db.run(sql`create table bookings (event_id text primary key, cents integer not null)`)
}
