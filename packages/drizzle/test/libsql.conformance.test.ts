import { describeStore } from '@outbox/conformance'
import { sqliteOutbox } from '../src/sqlite/index.ts'
import { asynchronous, type LibsqlTestTransaction, newLibsqlOutboxFile, oneByOne } from './sqlite-files.ts'

describeStore<LibsqlTestTransaction>('SQLite on libsql, drizzle 0.45', {
  capabilities: asynchronous,
  async open() {
    const file = await newLibsqlOutboxFile()
    const inTurn = oneByOne()
    return {
      store: sqliteOutbox({ db: file.db }),
      transaction: (work) => inTurn(() => file.db.transaction(async (tx) => work(tx))),
      savepoint: (tx, work) => tx.transaction(async (inner) => work(inner)),
      peer: async () => sqliteOutbox({ db: file.connectLibsql() }),
      close: async () => file.remove(),
    }
  },
})
