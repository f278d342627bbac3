import type { DomainEvent, Receipt } from '@outbox/core'
import { type PgOutbox, pgOutbox, setup } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'

/** An application on PostgreSQL: a table of its own, and an outbox. */
export interface Shop extends AsyncDisposable {
  readonly outbox: PgOutbox
  readonly db: NodePgDatabase
  /** Writes events in one transaction, each with a row of the application's own. */
  commit(...events: readonly DomainEvent[]): Promise<readonly Receipt[]>
  /** ids of the events that the application has committed, from its own table */
  committed(): Promise<readonly string[]>
  query(text: string): Promise<readonly Record<string, unknown>[]>
}

export async function createShop(url: string): Promise<Shop> {
  const shop = openShop(url)
  await shop.query('create table committed (event_id text primary key)')
  await setup(shop.db)
  return shop
}

export function openShop(url: string): Shop {
  const pool = new pg.Pool({ connectionString: url, max: 6 })
  pool.on('error', () => undefined) // an idle connection that breaks is replaced; who uses one gets the error
  const db = drizzle({ client: pool })
  const outbox = pgOutbox({ db })
  return {
    db,
    outbox,
    commit: (...events) =>
      db.transaction(async (tx) => {
        const receipts = await outbox.enqueue(tx, events)
        for (const { id } of receipts) await tx.execute(sql`insert into committed values (${id})`)
        return receipts
      }),
    committed: async () => {
      const { rows } = await pool.query('select event_id from committed')
      return rows.map((row) => String(row.event_id))
    },
    query: async (text) => (await pool.query(text)).rows,
    [Symbol.asyncDispose]: () => pool.end(),
  }
}
