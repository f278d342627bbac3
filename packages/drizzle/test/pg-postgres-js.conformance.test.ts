import { describeStore } from '@outbox/conformance'
import { describeWith, type TestDatabase } from '@outbox/services'
import { drizzle as drizzleRc } from 'drizzle-orm-rc/postgres-js'
import { afterAll, beforeAll } from 'vitest'
import { openPostgresJs, ownDatabase } from './pg-databases.ts'
import { pgHarness } from './pg-harness.ts'

describeWith('postgres', 'PostgreSQL', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await ownDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  describeStore(
    'postgres-js, drizzle 0.45',
    pgHarness(true, async () => openPostgresJs(database.url)),
  )
  describeStore(
    'postgres-js, drizzle 1.0',
    pgHarness(true, async () => {
      const { db, ...rest } = openPostgresJs(database.url)
      return { ...rest, db: drizzleRc({ client: db.$client }) }
    }),
  )
})
