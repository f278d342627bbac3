import { type DomainEvent, event } from '@outbox/core'
import { type SqliteOutbox, setup, sqliteOutbox } from '@outbox/drizzle/sqlite'
import Database from 'better-sqlite3'
import { sql } from 'drizzle-orm'
import { type BetterSQLite3Database, drizzle } from 'drizzle-orm/better-sqlite3'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

const sales = sqliteTable('sales', {
  number: integer().primaryKey({ autoIncrement: true }),
  article: text().notNull(),
  cents: integer().notNull(),
})

/** what `till.sold` carries */
export type Sale = Pick<typeof sales.$inferSelect, 'article' | 'cents'>

/** A till keeps its sales in a file: it needs no network to sell. Its events have one aggregate, so they stay in order. */
export class Till {
  readonly #db: BetterSQLite3Database & { readonly $client: Database.Database }
  readonly outbox: SqliteOutbox
  readonly name: string

  constructor(file: string, name: string) {
    const client = new Database(file)
    client.pragma('journal_mode = WAL')
    client.pragma('synchronous = FULL') // with less, a power cut may take back a sale that was published
    this.#db = drizzle({ client })
    setup(this.#db) // or export the outbox's tables to drizzle-kit, and migrate as you do
    this.#db.run(
      sql`create table if not exists sales (number integer primary key autoincrement, article text not null, cents integer not null)`,
    )
    this.outbox = sqliteOutbox({ db: this.#db })
    this.name = name
  }

  sell(sale: Sale): void {
    this.#db.transaction(
      (tx) => {
        tx.insert(sales).values(sale).run()
        this.outbox.enqueue(tx, this.#sold(sale))
      },
      { behavior: 'immediate' },
    )
  }

  #sold(sale: Sale): DomainEvent {
    return event('till.sold', { aggregateId: this.name, payload: sale })
  }

  close(): void {
    this.#db.$client.close()
  }
}
