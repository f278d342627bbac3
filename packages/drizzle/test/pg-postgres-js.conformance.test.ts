import { describeWith, type TestDatabase } from '@outbox/services'
import { drizzle as drizzleRc } from 'drizzle-orm-rc/postgres-js'
import { afterAll, beforeAll } from 'vitest'
import { openPostgresJs, ownDatabase } from './pg-databases.ts'
import { describePg } from './pg-harness.ts'

const can = {
  concurrentTransactions: true,
  crashes: { leftOut: 'postgres-js throws into the process when its connection ends in a transaction' },
} as const

describeWith('postgres', 'PostgreSQL', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await ownDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  describePg('postgres-js, drizzle 0.45', can, async () => openPostgresJs(database.url))
  describePg('postgres-js, drizzle 1.0', can, async () => {
    const { db, ...rest } = openPostgresJs(database.url)
    return { ...rest, db: drizzleRc({ client: db.$client }) }
  })
})
