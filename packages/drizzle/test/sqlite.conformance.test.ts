import { describeStore } from '@outbox/conformance'
import { sqliteOutbox } from '../src/sqlite/index.ts'
import { crash, newOutboxFile, synchronous, type TestTransaction } from './sqlite-files.ts'

describeStore<TestTransaction>('SQLite, drizzle 0.45', {
  capabilities: { ...synchronous, crashes: true },
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
