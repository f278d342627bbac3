import { describeStore } from '@outbox/conformance'
import { sqliteOutbox } from '../src/sqlite/index.ts'
import { crash, newOutboxFile, type TestTransaction } from './sqlite-files.ts'

const capabilities = {
  concurrentTransactions: { leftOut: 'SQLite has one writer at a time, and better-sqlite3 is synchronous' },
  savepoints: true,
  waitsForWriters: true,
  crashes: true,
} as const

describeStore<TestTransaction>('SQLite, drizzle 0.45', {
  capabilities,
  async open() {
    const file = newOutboxFile()
    return {
      store: sqliteOutbox({ db: file.db }),
      transaction: async (work) => file.db.transaction(work),
      savepoint: (tx, work) => tx.transaction(work),
      crash: async (work) => crash(file.connect(), work),
      peer: async () => sqliteOutbox({ db: file.connect() }),
      close: async () => file.remove(),
    }
  },
})
