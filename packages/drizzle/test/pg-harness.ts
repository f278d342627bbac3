import {
  describeInbox,
  describeStore,
  type InboxHarness,
  type StoreHarness,
  type TransactionCapabilities,
} from '@outbox/conformance'
import type { Awaitable } from '@outbox/core'
import { type PgDatabase, type PgTransaction, pgInbox, pgOutbox, setup, setupInbox } from '@outbox/drizzle/pg'
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
type Connect = () => Promise<Opened<TestDatabase>>

/** The suites of the outbox and of the inbox. Each check has a schema of its own. */
export function describePg(driver: string, can: PgCapabilities, connect: Connect): void {
  const capabilities = { ...can, savepoints: true, waitsForWriters: true } as const
  describeStore(`outbox: ${driver}`, outboxHarness(capabilities, connect))
  describeInbox(`inbox: ${driver}`, inboxHarness(capabilities, connect))
}

type PgCapabilities = Required<Pick<TransactionCapabilities, 'concurrentTransactions' | 'crashes'>>

function outboxHarness(capabilities: TransactionCapabilities, connect: Connect): StoreHarness<TestTransaction> {
  return {
    capabilities,
    async open() {
      const place = { schema: `check ${crypto.randomUUID()}` }
      const { opened, close } = connections(connect)
      const own = await opened()
      await setup(own.db, place)
      return {
        store: pgOutbox({ db: own.db, ...place }),
        ...own.transactions,
        peer: async () => pgOutbox({ db: (await opened()).db, ...place }),
        close,
      }
    },
  }
}

/** In a schema that holds no outbox. */
function inboxHarness(capabilities: TransactionCapabilities, connect: Connect): InboxHarness<TestTransaction> {
  return {
    capabilities,
    async open() {
      const place = { schema: `check ${crypto.randomUUID()}` }
      const { opened, close } = connections(connect)
      const process = async () => {
        const { db, transactions } = await opened()
        await setupInbox(db, place)
        return { inbox: pgInbox({ db, ...place }), ...transactions }
      }
      return { ...(await process()), peer: process, close }
    },
  }
}

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
