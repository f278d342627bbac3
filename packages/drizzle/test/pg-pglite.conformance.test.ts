import { drizzle as drizzleRc } from 'drizzle-orm-rc/pglite'
import { afterAll, describe } from 'vitest'
import { openPglite } from './pg-databases.ts'
import { describePg } from './pg-harness.ts'

describe('PGlite', () => {
  const pglite = openPglite()
  afterAll(() => pglite[Symbol.asyncDispose]())

  const oneConnection = { leftOut: 'PGlite has one connection' }
  const can = { concurrentTransactions: oneConnection, crashes: oneConnection }
  // it takes seconds to start, so all checks share it, and closing closes nothing
  const shared = { [Symbol.asyncDispose]: async () => undefined }
  const rc = drizzleRc({ client: pglite.db.$client })
  describePg('PGlite, drizzle 0.45', can, async () => ({ ...shared, db: pglite.db }))
  describePg('PGlite, drizzle 1.0', can, async () => ({ ...shared, db: rc }))
})
