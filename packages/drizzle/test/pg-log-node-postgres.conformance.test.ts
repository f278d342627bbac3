import { describeWith, type TestDatabase } from '@outbox/services'
import { afterAll, beforeAll } from 'vitest'
import { openNodePostgres, ownDatabase } from './pg-databases.ts'
import { describePgLog } from './pg-log-harness.ts'

const can = { concurrentTransactions: true, crashes: true, savepoints: true, waitsForWriters: true } as const

describeWith('postgres', 'PostgreSQL', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await ownDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  describePgLog('node-postgres', can, async () => openNodePostgres(database.url))
})
