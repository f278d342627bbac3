import type { InboxHarness, StoreHarness } from '@outbox/conformance'
import { mysqlInbox, mysqlOutbox, setup, setupInbox } from '@outbox/drizzle/mysql'
import { sql } from 'drizzle-orm'
import { type Connect, connections, type TestTransaction } from './mysql-connections.ts'
import { emptying } from './mysql-databases.ts'

const capabilities = { concurrentTransactions: true, savepoints: true, waitsForWriters: true } as const

/** All checks share one set of tables, emptied for each. */
export function outboxHarness(connect: Connect): StoreHarness<TestTransaction> {
  return {
    capabilities,
    async open() {
      const { opened, close } = connections(connect)
      const { db, transactions } = opened()
      await setup(db)
      for (const statement of emptying) await db.execute(sql.raw(statement) as never)
      return { store: mysqlOutbox({ db }), ...transactions, peer: async () => mysqlOutbox({ db: opened().db }), close }
    },
  }
}

/** All checks share one table, emptied for each. */
export function inboxHarness(connect: Connect): InboxHarness<TestTransaction> {
  return {
    capabilities,
    async open() {
      const { opened, close } = connections(connect)
      const process = () => {
        const { db, transactions } = opened()
        return { db, inbox: mysqlInbox({ db }), ...transactions }
      }
      const own = process()
      await setupInbox(own.db)
      await own.db.execute(sql.raw('truncate outbox_inbox') as never)
      return { ...own, peer: async () => process(), close }
    },
  }
}
