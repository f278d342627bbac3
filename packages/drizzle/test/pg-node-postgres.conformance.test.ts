import { describeStore } from '@outbox/conformance'
import { describeWith, type TestDatabase } from '@outbox/services'
import { drizzle as drizzleRc } from 'drizzle-orm-rc/node-postgres'
import { afterAll, beforeAll } from 'vitest'
import { openNodePostgres, ownDatabase } from './pg-databases.ts'
import { pgHarness } from './pg-harness.ts'

describeWith('postgres', 'PostgreSQL', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await ownDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  describeStore(
    'node-postgres, drizzle 0.45',
    pgHarness(true, async () => openNodePostgres(database.url)),
  )
  describeStore(
    'node-postgres, drizzle 1.0',
    pgHarness(true, async () => {
      const { db, ...rest } = openNodePostgres(database.url)
      return { ...rest, db: drizzleRc({ client: db.$client }) }
    }),
  )
})
