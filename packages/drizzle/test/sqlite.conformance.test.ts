import { describeStore } from '@outbox/conformance'
import { drizzle as drizzleRc } from 'drizzle-orm-rc/better-sqlite3'
import { expect } from 'vitest'
import { sqliteOutbox } from '../src/sqlite/index.ts'
import { newOutboxFile, type TestTransaction } from './sqlite-files.ts'

const capabilities = {
  concurrentTransactions: { leftOut: 'SQLite has one writer at a time, and better-sqlite3 is synchronous' },
  savepoints: true,
  waitsForWriters: true,
  crashes: true,
} as const

describeStore<TestTransaction>('SQLite, drizzle 0.45', {
  capabilities,
  async open() {
    const file = newOutboxFile()
    return {
      store: sqliteOutbox({ db: file.db }),
      transaction: async (work) => file.db.transaction(work),
      savepoint: (tx, work) => tx.transaction(work),
      crash: async (work) => crash(file.connect(), work),
      peer: async () => sqliteOutbox({ db: file.connect() }),
      close: async () => file.remove(),
    }
  },
})

type TransactionRc = Parameters<Parameters<ReturnType<typeof drizzleRc>['transaction']>[0]>[0]

describeStore<TransactionRc>('SQLite, drizzle 1.0', {
  capabilities,
  async open() {
    const file = newOutboxFile()
    const db = drizzleRc({ client: file.db.$client })
    return {
      store: sqliteOutbox({ db }),
      transaction: async (work) => resultOf((run) => db.transaction((tx) => run(() => work(tx)))),
      savepoint: (tx, work) => resultOf((run) => tx.transaction((inner) => run(() => work(inner)))),
      crash: async (work) => crash(drizzleRc({ client: file.connect().$client }), work),
      peer: async () => sqliteOutbox({ db: drizzleRc({ client: file.connect().$client }) }),
      close: async () => file.remove(),
    }
  },
})

/** Carries a result out of a callback: drizzle 1.0 takes none, by type, that might return a promise. */
function resultOf<T>(begin: (run: (work: () => T) => void) => void): T {
  const results: T[] = []
  begin((work) => void results.push(work()))
  for (const result of results) return result
  throw new Error('the callback was not called')
}

/** The connection is closed where the commit would be. */
function crash<Tx>(
  db: { readonly $client: { close(): unknown }; transaction(work: (tx: Tx) => void): unknown },
  work: (tx: Tx) => unknown,
): void {
  const dying = (): unknown =>
    db.transaction((tx) => {
      work(tx)
      db.$client.close()
    })
  expect(dying).toThrow()
}
