import { type PgOutboxOptions, pgOutbox, setup } from '@outbox/drizzle/pg'
import { drizzle } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import type { StoreModule } from './store.ts'

/** Through node-postgres; `options` chooses between engines, and between ways to wake up. */
export function postgresStore(options: Omit<PgOutboxOptions, 'db'> = {}): StoreModule {
  return {
    title: 'PostgreSQL',
    async create(url) {
      const pool = new pg.Pool({ connectionString: url })
      await setup(drizzle({ client: pool }), { engine: options.engine ?? 'mark' })
      await pool.end()
    },
    async open(url) {
      const pool = new pg.Pool({ connectionString: url, max: 10 })
      const db = drizzle({ client: pool })
      const outbox = pgOutbox({ ...options, db })
      await Promise.all(Array.from({ length: 5 }, () => pool.query('select 1')))
      return {
        outbox,
        commit: (events) => db.transaction((tx) => outbox.enqueue(tx, events)),
        left: async () => {
          const { pending, dead } = await outbox.stats()
          return pending + dead
        },
        close: () => pool.end(),
      }
    },
  }
}
