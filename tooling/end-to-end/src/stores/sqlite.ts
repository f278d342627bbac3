import type { DomainEvent, Receipt } from '@outbox/core'
import { setup, sqliteOutbox } from '@outbox/drizzle/sqlite'
import Database from 'better-sqlite3'
import { sql } from 'drizzle-orm'
import { type BetterSQLite3Database, drizzle } from 'drizzle-orm/better-sqlite3'
import { sqliteTable, text } from 'drizzle-orm/sqlite-core'
import type { Application } from '../application.ts'

const committed = sqliteTable('committed', { eventId: text('event_id').primaryKey() })

function connect(file: string): BetterSQLite3Database & { readonly $client: Database.Database } {
  const client = new Database(file, { timeout: 10_000 })
  client.pragma('journal_mode = WAL')
  client.pragma('synchronous = NORMAL') // loses nothing when a process is killed
  return drizzle({ client })
}

/** An application on better-sqlite3: its transactions are synchronous, and begin with the write lock. */
export function openSqlite(file: string): Application {
  const db = connect(file)
  const outbox = sqliteOutbox({ db })
  const write = async (events: readonly DomainEvent[], beforeEnd: () => void): Promise<readonly Receipt[]> =>
    db.transaction(
      (tx) => {
        const receipts = outbox.enqueue(tx, events)
        tx.insert(committed)
          .values(receipts.map(({ id }) => ({ eventId: id })))
          .run()
        beforeEnd()
        return receipts
      },
      { behavior: 'immediate' },
    )
  return {
    outbox,
    write,
    commit: (...events) => write(events, () => undefined),
    committed: async () =>
      db
        .select()
        .from(committed)
        .all()
        .map(({ eventId }) => eventId),
    endings: async () => {
      const rows = db.all<{ ending: string }>(
        sql`select id || ' ' || coalesce(settled_at, '') as ending from outbox_entries left join outbox_settled using (position) order by id`,
      )
      return rows.map(({ ending }) => ending)
    },
    [Symbol.asyncDispose]: async () => void db.$client.close(),
  }
}

export async function createSqlite(file: string): Promise<Application> {
  const db = connect(file)
  db.run(sql`create table committed (event_id text primary key)`)
  setup(db)
  db.$client.close()
  return openSqlite(file)
}
