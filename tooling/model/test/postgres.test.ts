import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, freshDatabase, type TestDatabase } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { afterAll, beforeAll } from 'vitest'
import { describeModel, type ModelOptions } from '../src/index.ts'

const engines = {
  mark: {},
  log: {
    purgesSingly: { leftOut: 'a log is truncated leaf by leaf' },
    lendsTheNewest: { leftOut: 'a log lends window by window' },
    ordersUnseenNumbers: { leftOut: 'a log lends in the order of commits what neither writer saw of the other' },
  },
} satisfies Record<string, ModelOptions['capabilities']>

describeWith('postgres', 'PostgreSQL', () => {
  let database: TestDatabase
  let pool: Pool
  beforeAll(async () => {
    database = await freshDatabase()
    // whoever waits for a lock that nobody is about to give back is told so, and the history fails
    pool = new Pool({ connectionString: database.url, options: '-c lock_timeout=10s' })
    pool.on('error', () => undefined) // an idle connection may outlive the database by a moment
  })
  afterAll(async () => {
    await pool.end()
    await database[Symbol.asyncDispose]()
  })

  for (const engine of ['mark', 'log'] as const) {
    describeModel(
      `PostgreSQL with the engine ${engine}`,
      async () => {
        const place = { schema: `history ${crypto.randomUUID()}`, engine }
        const db = drizzle({ client: pool })
        await setup(db, place)
        return {
          store: pgOutbox({ db, ...place }),
          transaction: (work) => db.transaction(async (tx) => work(tx)),
          async isWaiting() {
            const { rows } = await pool.query(waitingSessions)
            return rows.length > 0
          },
          close: async () => void (await pool.query(`drop schema "${place.schema}" cascade`)),
        }
      },
      { capabilities: engines[engine] },
    )
  }
})

const waitingSessions = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
