import { describeStore } from '@outbox/conformance'
import { drizzle } from 'drizzle-orm-rc/libsql'
import { sqliteOutbox } from '../src/sqlite/index.ts'
import { asynchronous, newLibsqlOutboxFile, oneByOne } from './sqlite-files.ts'

type TestTransaction = Parameters<Parameters<ReturnType<typeof drizzle>['transaction']>[0]>[0]

describeStore<TestTransaction>('SQLite on libsql, drizzle 1.0', {
  capabilities: asynchronous,
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
