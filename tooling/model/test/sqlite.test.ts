import { setup, sqliteOutbox } from '@outbox/drizzle/sqlite'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { describeModel } from '../src/index.ts'

describeModel(
  'SQLite',
  async () => {
    const client = new Database(':memory:')
    const db = drizzle({ client })
    setup(db)
    return {
      store: sqliteOutbox({ db }),
      transaction: async (work) => db.transaction(work),
      close: async () => void client.close(),
    }
  },
  { capabilities: { concurrentTransactions: { leftOut: 'SQLite has one writer' } } },
)
