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

/** Asks somebody far away, which takes time and changes nothing there. */
export type IsToBeHad = (article: string) => Promise<boolean>

/** Fastify answers it with its status. */
class NotToBeHad extends Error {
  readonly statusCode = 409
}

export interface Orders {
  /** Places an order and tells of it, in one transaction. @throws {NotToBeHad} and nothing has happened */
  place(wanted: WantedOrder): Promise<Order>
}

export function ordersIn(db: NodePgDatabase, outbox: Enqueue<PgTransaction>, isToBeHad: IsToBeHad): Orders {
  return {
    async place(wanted) {
      // before the transaction, which would keep its connection and its locks meanwhile
      if (!(await isToBeHad(wanted.article))) throw new NotToBeHad(wanted.article)
      return db.transaction(async (tx) => {
        const [order] = await tx.insert(orders).values(wanted).returning()
        if (!order) throw new Error('the database gave no order back')
        await outbox.enqueue(tx, event('order.placed', { aggregateId: order.id, payload: wanted }))
        return order
      })
    },
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
