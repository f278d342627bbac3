import { event } from '@outbox/core'
import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { pgTable, text, uuid } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { type Change, ChangedMind, type DemoStore } from './store.ts'

const changes = pgTable('changes', {
  eventId: uuid('event_id').primaryKey(),
  orderId: text('order_id').notNull(),
})

/**
 * PostgreSQL, in a database of the demo's own, or PGlite behind a socket: then every statement waits for the one
 * before, so wake-ups are left out and polling does the work.
 */
export function postgresStore(url: string, { isEmbedded }: { readonly isEmbedded: boolean }): DemoStore {
  const pool = new pg.Pool({ connectionString: url, max: isEmbedded ? 4 : 10 })
  pool.on('error', (error) => console.error(`database connection lost: ${error.message}`))
  pool.on('connect', (client) => client.on('error', () => {})) // in use: the next statement rejects
  const db = drizzle({ client: pool })
  const outbox = pgOutbox({ db, ...(isEmbedded ? { listen: false, notify: 'off' } : {}) })
  return {
    outbox,
    async setUp() {
      await db.execute(sql`create table changes (event_id uuid primary key, order_id text not null)`)
      await setup(db)
    },
    async change({ eventId, orderId }: Change, rollBack: boolean) {
      await db.transaction(async (tx) => {
        await tx.insert(changes).values({ eventId, orderId })
        await outbox.enqueue(tx, event('order.changed', { id: eventId, aggregateId: orderId, payload: { orderId } }))
        if (rollBack) throw new ChangedMind()
      })
    },
    count: () => db.$count(changes),
    committed: () => db.select().from(changes),
    close: () => pool.end(),
  }
}
