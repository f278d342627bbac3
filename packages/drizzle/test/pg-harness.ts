import type { Capability, StoreHarness } from '@outbox/conformance'
import { type PgDatabase, type PgTransaction, pgOutbox, setup } from '@outbox/drizzle/pg'
import type { Opened } from './pg-databases.ts'

/** What the suite needs of a drizzle transaction; every driver's, of 0.45 and 1.0, fits. */
export interface TestTransaction extends PgTransaction {
  transaction<T>(work: (tx: TestTransaction) => Promise<T>): Promise<T>
}

export interface TestDatabase extends PgDatabase {
  transaction<T>(work: (tx: TestTransaction) => Promise<T>): Promise<T>
}

/** Each check has a schema of its own; `connect` opens the database anew, as another process would. */
export function pgHarness(
  concurrentTransactions: Capability,
  connect: () => Promise<Opened<TestDatabase>>,
): StoreHarness<TestTransaction> {
  return {
    capabilities: { concurrentTransactions },
    async open() {
      const place = { schema: `check ${crypto.randomUUID()}` }
      const own = await connect()
      const connections = [own]
      await setup(own.db, place)
      return {
        store: pgOutbox({ db: own.db, ...place }),
        transaction: (work) => own.db.transaction(async (tx) => work(tx)),
        savepoint: (tx, work) => tx.transaction(async (inner) => work(inner)),
        async peer() {
          const other = await connect()
          connections.push(other)
          return pgOutbox({ db: other.db, ...place })
        },
        async close() {
          for (const connection of connections) await connection[Symbol.asyncDispose]()
        },
      }
    },
  }
}
