import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, freshDatabase, type TestDatabase } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { afterAll, beforeAll } from 'vitest'
import { describeModel } from '../src/index.ts'

describeWith('postgres', 'PostgreSQL', () => {
  let database: TestDatabase
  let pool: Pool
  beforeAll(async () => {
    database = await freshDatabase()
    pool = new Pool({ connectionString: database.url })
  })
  afterAll(async () => {
    await pool.end()
    await database[Symbol.asyncDispose]()
  })

  describeModel('PostgreSQL', async () => {
    const place = { schema: `history ${crypto.randomUUID()}` }
    const db = drizzle({ client: pool })
    await setup(db, place)
    return {
      store: pgOutbox({ db, ...place }),
      transaction: (work) => db.transaction(async (tx) => work(tx)),
      close: async () => void (await pool.query(`drop schema "${place.schema}" cascade`)),
    }
  })
})
