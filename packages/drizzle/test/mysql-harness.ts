import type { StoreHarness } from '@outbox/conformance'
import { type MysqlDatabase, type MysqlTransaction, mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { sql } from 'drizzle-orm'
import { emptying } from './mysql-databases.ts'

/** What the suite needs of a drizzle transaction; those of 0.45 and 1.0 fit. */
export interface TestTransaction extends MysqlTransaction {
  transaction<T>(work: (tx: TestTransaction) => Promise<T>): Promise<T>
}

export interface TestDatabase extends MysqlDatabase {
  transaction<T>(work: (tx: TestTransaction) => Promise<T>): Promise<T>
}

export interface TestConnection extends AsyncDisposable {
  readonly db: TestDatabase
}

/** All checks share one set of tables, emptied for each; `connect` opens the database anew, as another process would. */
export function mysqlHarness(connect: () => TestConnection): StoreHarness<TestTransaction> {
  return {
    capabilities: { concurrentTransactions: true, savepoints: true, waitsForWriters: true },
    async open() {
      const own = connect()
      const connections = [own]
      await setup(own.db)
      for (const statement of emptying) await own.db.execute(sql.raw(statement) as never)
      return {
        store: mysqlOutbox({ db: own.db }),
        transaction: (work) => own.db.transaction(async (tx) => work(tx)),
        savepoint: (tx, work) => tx.transaction(async (inner) => work(inner)),
        async peer() {
          const other = connect()
          connections.push(other)
          return mysqlOutbox({ db: other.db })
        },
        async close() {
          for (const connection of connections) await connection[Symbol.asyncDispose]()
        },
      }
    },
  }
}
