import { describeStore } from '@outbox/conformance'
import { drizzle as drizzleRc } from 'drizzle-orm-rc/pglite'
import { afterAll, describe } from 'vitest'
import { openPglite } from './pg-databases.ts'
import { pgHarness } from './pg-harness.ts'

describe('PGlite', () => {
  const pglite = openPglite()
  afterAll(() => pglite[Symbol.asyncDispose]())

  const oneConnection = { leftOut: 'PGlite has one connection' }
  // it takes seconds to start, so all checks share it, and closing closes nothing
  const shared = { [Symbol.asyncDispose]: async () => undefined }
  const rc = drizzleRc({ client: pglite.db.$client })
  describeStore(
    'PGlite, drizzle 0.45',
    pgHarness(oneConnection, async () => ({ ...shared, db: pglite.db })),
  )
  describeStore(
    'PGlite, drizzle 1.0',
    pgHarness(oneConnection, async () => ({ ...shared, db: rc })),
  )
})
