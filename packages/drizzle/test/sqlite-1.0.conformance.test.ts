import { describeStore } from '@outbox/conformance'
import { drizzle } from 'drizzle-orm-rc/better-sqlite3'
import { sqliteOutbox } from '../src/sqlite/index.ts'
import { crash, newOutboxFile, synchronous } from './sqlite-files.ts'

type TestTransaction = Parameters<Parameters<ReturnType<typeof drizzle>['transaction']>[0]>[0]

describeStore<TestTransaction>('SQLite, drizzle 1.0', {
  capabilities: { ...synchronous, crashes: true },
  async open() {
    const file = newOutboxFile()
    const db = drizzle({ client: file.db.$client })
    return {
      store: sqliteOutbox({ db }),
      transaction: async (work) => resultOf((run) => db.transaction((tx) => run(() => work(tx)))),
      savepoint: (tx, work) => resultOf((run) => tx.transaction((inner) => run(() => work(inner)))),
      crash: async (work) => crash(drizzle({ client: file.connect().$client }), work),
      peer: async () => sqliteOutbox({ db: drizzle({ client: file.connect().$client }) }),
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
