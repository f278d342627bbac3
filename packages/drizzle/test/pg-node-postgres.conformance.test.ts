import { describeWith, type TestDatabase } from '@outbox/services'
import { drizzle as drizzleRc } from 'drizzle-orm-rc/node-postgres'
import { afterAll, beforeAll } from 'vitest'
import { openNodePostgres, ownDatabase } from './pg-databases.ts'
import { describePg } from './pg-harness.ts'

const can = { concurrentTransactions: true, crashes: true } as const

describeWith('postgres', 'PostgreSQL', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await ownDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  describePg('node-postgres, drizzle 0.45', can, async () => openNodePostgres(database.url))
  describePg('node-postgres, drizzle 1.0', can, async () => {
    const { db, ...rest } = openNodePostgres(database.url)
    return { ...rest, db: drizzleRc({ client: db.$client }) }
  })
})
