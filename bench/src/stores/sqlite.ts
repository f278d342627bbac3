import { setup, sqliteOutbox } from '@outbox/drizzle/sqlite'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import type { StoreModule } from './store.ts'

/** better-sqlite3 with WAL, and synchronous FULL, which is the default and durable. */
export const sqliteStore: StoreModule = {
  title: 'SQLite',
  async create(url) {
    const client = openSqlite(url)
    setup(drizzle({ client }))
    client.close()
  },
  async open(url) {
    const client = openSqlite(url)
    const db = drizzle({ client })
    const outbox = sqliteOutbox({ db })
    return {
      outbox,
      commit: async (events) => db.transaction((tx) => outbox.enqueue(tx, events), { behavior: 'immediate' }),
      left: async () => {
        const published = `select position from outbox_settled where outcome = 'published'`
        return Number(
          client.prepare(`select count(*) from outbox_entries where position not in (${published})`).pluck().get(),
        )
      },
      close: async () => void client.close(),
    }
  },
}

export function openSqlite(file: string): Database.Database {
  const client = new Database(file, { timeout: 10_000 })
  client.pragma('journal_mode = WAL')
  client.pragma('synchronous = FULL')
  return client
}
