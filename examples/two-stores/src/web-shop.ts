import { randomUUID } from 'node:crypto'
import { event } from '@outbox/core'
import { type PgOutbox, pgOutbox, setup } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Pool } from 'pg'

const orders = pgTable('orders', {
  id: text().primaryKey(),
  cents: integer().notNull(),
})

/** The web shop, on PostgreSQL. This run has a schema of its own, which disposing removes. */
export class WebShop implements AsyncDisposable {
  readonly outbox: PgOutbox
  readonly #db: NodePgDatabase
  readonly #close: () => Promise<void>

  private constructor(db: NodePgDatabase, close: () => Promise<void>) {
    this.#db = db
    this.#close = close
    this.outbox = pgOutbox({ db })
  }

  static async open(): Promise<WebShop> {
    const schema = `example_${randomUUID().slice(0, 8)}`
    const pool = new Pool({
      connectionString: process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres',
      options: `-c search_path=${schema}`,
    })
    pool.on('error', (error) => console.error(`PostgreSQL: ${error.message}`))
    pool.on('connect', (client) => client.on('error', () => {})) // in use: the next statement rejects
    const db = drizzle({ client: pool })
    await db.execute(sql`create schema ${sql.identifier(schema)}`)
    await setup(db)
    await db.execute(sql`create table orders (id text primary key, cents integer not null)`)
    return new WebShop(db, async () => {
      await db.execute(sql`drop schema ${sql.identifier(schema)} cascade`)
      await pool.end()
    })
  }

  async placeOrder(id: string, cents: number): Promise<void> {
    await this.#db.transaction(async (tx) => {
      await tx.insert(orders).values({ id, cents })
      await this.outbox.enqueue(tx, event('order.placed', { aggregateId: id, payload: { cents } }))
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close()
  }
}
