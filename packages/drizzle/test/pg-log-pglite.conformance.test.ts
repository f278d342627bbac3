import { afterAll, describe } from 'vitest'
import { openPglite } from './pg-databases.ts'
import { describePgLog } from './pg-log-harness.ts'

describe('PGlite', () => {
  const pglite = openPglite()
  afterAll(() => pglite[Symbol.asyncDispose]())

  const oneConnection = { leftOut: 'PGlite has one connection' }
  const can = {
    concurrentTransactions: oneConnection,
    crashes: oneConnection,
    savepoints: true,
    waitsForWriters: true,
  } as const
  // it takes seconds to start, so all checks share it, and closing closes nothing
  const shared = { [Symbol.asyncDispose]: async () => undefined }
  describePgLog('PGlite', can, async () => ({ ...shared, db: pglite.db }))
})
