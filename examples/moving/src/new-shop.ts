import { randomUUID } from 'node:crypto'
import { event } from '@outbox/core'
import { type PgOutbox, pgOutbox, setup } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import type { Shop } from './shop.ts'

/** The shop as it will be, on PostgreSQL. This run has a schema of its own, which disposing removes. */
export class NewShop implements Shop, AsyncDisposable {
  readonly outbox: PgOutbox
  readonly db: NodePgDatabase
  readonly #close: () => Promise<void>

  private constructor(db: NodePgDatabase, close: () => Promise<void>) {
    this.db = db
    this.#close = close
    this.outbox = pgOutbox({ db })
  }

  static async open(): Promise<NewShop> {
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
    await db.execute(sql`create table orders (id text primary key, state text not null)`)
    return new NewShop(db, async () => {
      await db.execute(sql`drop schema ${sql.identifier(schema)} cascade`)
      await pool.end()
    })
  }

  async change(id: string, state: string): Promise<void> {
    await this.db.transaction(async (tx) => {
      await tx.execute(
        sql`insert into orders values (${id}, ${state}) on conflict (id) do update set state = excluded.state`,
      )
      await this.outbox.enqueue(tx, event(`order.${state}`, { aggregateId: id, payload: {} }))
    })
  }

  /** The state of the application moves as any state does: here, row by row. */
  async takeOver(orders: readonly { readonly id: string; readonly state: string }[]): Promise<void> {
    for (const { id, state } of orders) await this.db.execute(sql`insert into orders values (${id}, ${state})`)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close()
  }
}
