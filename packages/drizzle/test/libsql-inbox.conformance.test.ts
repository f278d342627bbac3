import { describeInbox } from '@outbox/conformance'
import type { Awaitable } from '@outbox/core'
import { setupInbox, sqliteInbox } from '../src/sqlite/index.ts'
import { asynchronous, type LibsqlTestDatabase, type LibsqlTestTransaction, newFile, oneByOne } from './sqlite-files.ts'

type Work<T> = (tx: LibsqlTestTransaction) => Awaitable<T>

describeInbox<LibsqlTestTransaction>('SQLite on libsql', {
  capabilities: asynchronous,
  async open() {
    const file = newFile()
    const inTurn = oneByOne()
    const opened = (db: LibsqlTestDatabase) => ({
      inbox: sqliteInbox({ db }),
      transaction: <T>(work: Work<T>) => inTurn(() => db.transaction(async (tx) => work(tx))),
      savepoint: <T>(tx: LibsqlTestTransaction, work: Work<T>) => tx.transaction(async (inner) => work(inner)),
    })
    const db = file.connectLibsql()
    await db.run('PRAGMA journal_mode = WAL')
    await setupInbox(db)
    return { ...opened(db), peer: async () => opened(file.connectLibsql()), close: async () => file.remove() }
  },
})
