import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { event } from '@outbox/core'
import { type SqliteOutbox, setup, sqliteOutbox } from '@outbox/drizzle/sqlite'
import Database from 'better-sqlite3'
import { sql } from 'drizzle-orm'
import { type BetterSQLite3Database, drizzle } from 'drizzle-orm/better-sqlite3'
import { integer, sqliteTable } from 'drizzle-orm/sqlite-core'

const sales = sqliteTable('sales', { cents: integer().notNull() })

/** The till in the shop, on SQLite. Its file is in a folder of its own, which disposing removes. */
export class Till implements Disposable {
  readonly outbox: SqliteOutbox
  readonly #name: string
  readonly #db: BetterSQLite3Database & { readonly $client: Database.Database }
  readonly #directory: string

  constructor(name: string) {
    this.#name = name
    this.#directory = mkdtempSync(join(tmpdir(), 'outbox-example-'))
    const client = new Database(join(this.#directory, 'till.db'))
    client.pragma('journal_mode = WAL')
    client.pragma('synchronous = FULL')
    this.#db = drizzle({ client })
    setup(this.#db)
    this.#db.run(sql`create table sales (cents integer not null)`)
    this.outbox = sqliteOutbox({ db: this.#db })
  }

  sell(cents: number): void {
    this.#db.transaction(
      (tx) => {
        tx.insert(sales).values({ cents }).run()
        this.outbox.enqueue(tx, event('till.sold', { aggregateId: this.#name, payload: { cents } }))
      },
      { behavior: 'immediate' },
    )
  }

  [Symbol.dispose](): void {
    this.#db.$client.close()
    rmSync(this.#directory, { recursive: true })
  }
}
