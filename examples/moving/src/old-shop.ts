import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { event } from '@outbox/core'
import { type SqliteOutbox, setup, sqliteOutbox } from '@outbox/drizzle/sqlite'
import Database from 'better-sqlite3'
import { sql } from 'drizzle-orm'
import { type BetterSQLite3Database, drizzle } from 'drizzle-orm/better-sqlite3'
import type { Shop } from './shop.ts'

/** The shop as it was, on SQLite. Its file is in a folder of its own, which disposing removes. */
export class OldShop implements Shop, Disposable {
  readonly outbox: SqliteOutbox
  readonly db: BetterSQLite3Database & { readonly $client: Database.Database }
  readonly #directory: string

  constructor() {
    this.#directory = mkdtempSync(join(tmpdir(), 'outbox-example-'))
    const client = new Database(join(this.#directory, 'shop.db'))
    client.pragma('journal_mode = WAL')
    client.pragma('synchronous = FULL')
    this.db = drizzle({ client })
    setup(this.db)
    this.db.run(sql`create table orders (id text primary key, state text not null)`)
    this.outbox = sqliteOutbox({ db: this.db })
  }

  async change(id: string, state: string): Promise<void> {
    this.db.transaction(
      (tx) => {
        tx.run(sql`insert into orders values (${id}, ${state}) on conflict do update set state = excluded.state`)
        this.outbox.enqueue(tx, event(`order.${state}`, { aggregateId: id, payload: {} }))
      },
      { behavior: 'immediate' },
    )
  }

  orders(): readonly { readonly id: string; readonly state: string }[] {
    return this.db.all(sql`select id, state from orders`)
  }

  [Symbol.dispose](): void {
    this.db.$client.close()
    rmSync(this.#directory, { recursive: true })
  }
}
