import { describeWith, type TestDatabase } from '@outbox/services'
import { afterAll, beforeAll } from 'vitest'
import { openPostgresJs, ownDatabase } from './pg-databases.ts'
import { describePgLog } from './pg-log-harness.ts'

const can = {
  concurrentTransactions: true,
  savepoints: true,
  waitsForWriters: true,
  crashes: { leftOut: 'postgres-js throws into the process when its connection ends in a transaction' },
} as const

describeWith('postgres', 'PostgreSQL', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await ownDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  describePgLog('postgres-js', can, async () => openPostgresJs(database.url))
})
