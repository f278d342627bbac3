import type { Awaitable } from '@outbox/core'
import type { PgDatabase, PgTransaction } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import { expect } from 'vitest'
import type { Opened } from './pg-databases.ts'

/** What the suite needs of a drizzle transaction; every driver's, of 0.45 and 1.0, fits. */
export interface TestTransaction extends PgTransaction {
  transaction<T>(work: (tx: TestTransaction) => Promise<T>): Promise<T>
}

export interface TestDatabase extends PgDatabase {
  transaction<T>(work: (tx: TestTransaction) => Promise<T>): Promise<T>
}

/** Opens the database anew, as another process would. */
export type Connect = () => Promise<Opened<TestDatabase>>

/** What one check has opened, to be closed with it. */
export function connections(connect: Connect) {
  const all: Opened<TestDatabase>[] = []
  return {
    async opened() {
      const own = await connect()
      all.push(own)
      const transactions = {
        transaction: <T>(work: (tx: TestTransaction) => Awaitable<T>) => own.db.transaction(async (tx) => work(tx)),
        savepoint: <T>(tx: TestTransaction, work: (inner: TestTransaction) => Awaitable<T>) =>
          tx.transaction(async (inner) => work(inner)),
        async crash(work: (tx: TestTransaction) => Awaitable<unknown>) {
          await using other = await connect()
          const died = other.db.transaction(async (tx) => {
            await work(tx)
            // `as never`: the parameter's type says that two versions of drizzle agree on none
            await tx.execute(sql`select pg_terminate_backend(pg_backend_pid())` as never)
          })
          await expect(died).rejects.toBeDefined()
        },
      }
      return { db: own.db, transactions }
    },
    async close() {
      for (const connection of all) await connection[Symbol.asyncDispose]()
    },
  }
}
