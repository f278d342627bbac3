import type { Awaitable } from '@outbox/core'
import type { MysqlDatabase, MysqlTransaction } from '@outbox/drizzle/mysql'

/** What the suites need of a drizzle transaction; those of 0.45 and 1.0 fit. */
export interface TestTransaction extends MysqlTransaction {
  transaction<T>(work: (tx: TestTransaction) => Promise<T>): Promise<T>
}

export interface TestDatabase extends MysqlDatabase {
  transaction<T>(work: (tx: TestTransaction) => Promise<T>): Promise<T>
}

/** Opens the database anew, as another process would. */
export type Connect = () => AsyncDisposable & { readonly db: TestDatabase }

/** What one check has opened, to be closed with it. */
export function connections(connect: Connect) {
  const all: AsyncDisposable[] = []
  return {
    opened() {
      const { db, ...connection } = connect()
      all.push(connection)
      const transactions = {
        transaction: <T>(work: (tx: TestTransaction) => Awaitable<T>) => db.transaction(async (tx) => work(tx)),
        savepoint: <T>(tx: TestTransaction, work: (inner: TestTransaction) => Awaitable<T>) =>
          tx.transaction(async (inner) => work(inner)),
      }
      return { db, transactions }
    },
    async close() {
      for (const connection of all) await connection[Symbol.asyncDispose]()
    },
  }
}
