import { describeInbox } from '@outbox/conformance'
import type { Awaitable } from '@outbox/core'
import { setupInbox, sqliteInbox } from '../src/sqlite/index.ts'
import { newFile, synchronous, type TestDatabase, type TestTransaction } from './sqlite-files.ts'

type Work<T> = (tx: TestTransaction) => Awaitable<T>

describeInbox<TestTransaction>('SQLite', {
  capabilities: synchronous,
  async open() {
    const file = newFile()
    const opened = (db: TestDatabase) => ({
      inbox: sqliteInbox({ db }),
      transaction: async <T>(work: Work<T>) => db.transaction(work),
      savepoint: <T>(tx: TestTransaction, work: Work<T>) => tx.transaction(work),
    })
    const db = file.connect()
    setupInbox(db)
    return { ...opened(db), peer: async () => opened(file.connect()), close: async () => file.remove() }
  },
})
