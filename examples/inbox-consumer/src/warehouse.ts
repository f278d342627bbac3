import type { Inbox } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import type { PgTransaction } from '@outbox/drizzle/pg'
import { eq, sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'

const stock = pgTable('stock', {
  article: text().primaryKey(),
  left: integer().notNull(),
})

/** what `article.sold` carries */
export interface Sold {
  readonly pieces: number
}

/** thrown after the stock was changed, in the middle of the transaction */
export class PowerCut extends Error {}

/** The consumer: it takes what was sold off the stock. Doing that twice would be wrong, so the inbox keeps it from it. */
export class Warehouse {
  readonly #db: NodePgDatabase
  readonly #inbox: Inbox<PgTransaction>
  /** false: the next message is handled only half */
  hasPower = true

  constructor(db: NodePgDatabase, inbox: Inbox<PgTransaction>) {
    this.#db = db
    this.#inbox = inbox
  }

  /**
   * Takes the pieces off the stock unless this message has been handled before, and remembers it, in one transaction.
   *
   * Safe for any number of deliveries, also at once: the second waits for the first.
   *
   * @returns whether it was the first delivery
   */
  async handle({ id, aggregateId, payload }: ReceivedEntry<Sold>): Promise<boolean> {
    return this.#db.transaction(async (tx) =>
      this.#inbox.once(tx, 'warehouse', id, async () => {
        await tx
          .update(stock)
          .set({ left: sql`${stock.left} - ${payload.pieces}` })
          .where(eq(stock.article, aggregateId))
        if (!this.hasPower) throw new PowerCut()
      }),
    )
  }

  async fill(article: string, pieces: number): Promise<void> {
    await this.#db.insert(stock).values({ article, left: pieces })
  }

  async left(article: string): Promise<number> {
    const [row] = await this.#db.select().from(stock).where(eq(stock.article, article))
    return row?.left ?? 0
  }
}

export async function createStock(db: NodePgDatabase): Promise<void> {
  await db.execute(sql`create table stock (article text primary key, "left" integer not null)`)
}
