import { describeStore } from '@outbox/conformance'
import { drizzle } from 'drizzle-orm-rc/libsql'
import { sqliteOutbox } from '../src/sqlite/index.ts'
import { newLibsqlOutboxFile, oneByOne } from './sqlite-files.ts'

const capabilities = {
  concurrentTransactions: { leftOut: 'SQLite has one writer at a time, and drizzle begins every transaction as one' },
  savepoints: true,
  waitsForWriters: true,
} as const

type TestTransaction = Parameters<Parameters<ReturnType<typeof drizzle>['transaction']>[0]>[0]

describeStore<TestTransaction>('SQLite on libsql, drizzle 1.0', {
  capabilities,
  async open() {
    const file = await newLibsqlOutboxFile()
    const db = drizzle({ client: file.db.$client })
    const inTurn = oneByOne()
    return {
      store: sqliteOutbox({ db }),
      transaction: (work) => inTurn(() => db.transaction(async (tx) => work(tx))),
      savepoint: (tx, work) => tx.transaction(async (inner) => work(inner)),
      peer: async () => sqliteOutbox({ db: drizzle({ client: file.connectLibsql().$client }) }),
      close: async () => file.remove(),
    }
  },
})
