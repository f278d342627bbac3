import { type Enqueue, event } from '@outbox/core'
import type { PgTransaction } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'

const items = pgTable('items', {
  basketId: text('basket_id').notNull(),
  article: integer().notNull(),
})

const clients = 4
const baskets = 50

/** Adds articles `from` to `to` to baskets, each with its event in one transaction, some clients at once. */
export async function fillBaskets(
  { db, outbox }: { readonly db: NodePgDatabase; readonly outbox: Enqueue<PgTransaction> },
  { from, to }: { readonly from: number; readonly to: number },
): Promise<void> {
  let next = from
  const client = async (): Promise<void> => {
    while (next <= to) {
      const article = next++
      const basketId = `basket-${article % baskets}`
      await db.transaction(async (tx) => {
        await tx.insert(items).values({ basketId, article })
        await outbox.enqueue(tx, event('basket.itemAdded', { aggregateId: basketId, payload: { article } }))
      })
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
}

export async function createTables(db: NodePgDatabase): Promise<void> {
  await db.execute(sql`create table items (basket_id text not null, article integer not null)`)
}
