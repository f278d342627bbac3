import type { StoreHarness } from '@outbox/conformance'
import { type MysqlDatabase, type MysqlTransaction, mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { sql } from 'drizzle-orm'

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

/** Traces of deleted rows remain for a while, and numbering would wait for them: the counters are set back instead. */
const emptying = [
  'update outbox_sequences set last_sequence = 0',
  ...['entries', 'aggregates', 'relays', 'leases', 'meta'].map((table) => `delete from outbox_${table}`),
]
