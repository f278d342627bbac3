import { describeInbox, type InboxHarness } from '@outbox/conformance'
import { mysqlInbox, setupInbox } from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase } from '@outbox/services'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll } from 'vitest'
import { openMysql, openMysqlRc, ownDatabase, servers } from './mysql-databases.ts'
import type { TestConnection, TestTransaction } from './mysql-harness.ts'

/** All checks share one table, emptied for each. */
function inboxHarness(connect: () => TestConnection): InboxHarness<TestTransaction> {
  return {
    capabilities: { concurrentTransactions: true, savepoints: true, waitsForWriters: true },
    async open() {
      const connections: TestConnection[] = []
      const openProcess = () => {
        const { db, ...connection } = connect()
        connections.push({ db, ...connection })
        return {
          db,
          inbox: mysqlInbox({ db }),
          transaction: <T>(work: (tx: TestTransaction) => PromiseLike<T> | T) => db.transaction(async (tx) => work(tx)),
          savepoint: <T>(tx: TestTransaction, work: (inner: TestTransaction) => PromiseLike<T> | T) =>
            tx.transaction(async (inner) => work(inner)),
        }
      }
      const own = openProcess()
      await setupInbox(own.db)
      await own.db.execute(sql.raw('truncate outbox_inbox') as never)
      return {
        ...own,
        peer: async () => openProcess(),
        async close() {
          for (const connection of connections) await connection[Symbol.asyncDispose]()
        },
      }
    },
  }
}

for (const [title, server] of servers) {
  describeWith(server, title, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await ownDatabase(server)
    })
    afterAll(() => database[Symbol.asyncDispose]())

    describeInbox(
      `the inbox, drizzle ${server === 'mysql' ? '0.45' : '1.0'}`,
      inboxHarness(() => (server === 'mysql' ? openMysql(database.url) : openMysqlRc(database.url))),
    )
  })
}
