import { join } from 'node:path'
import { event } from '@outbox/core'
import { setup, sqliteOutbox } from '@outbox/drizzle/sqlite'
import Database from 'better-sqlite3'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { type Change, ChangedMind, type DemoStore } from './store.ts'

const changes = sqliteTable('changes', {
  eventId: text('event_id').primaryKey(),
  orderId: text('order_id').notNull(),
})

export function sqliteStore(directory: string): DemoStore {
  const client = new Database(join(directory, 'shop.db'), { timeout: 5_000 })
  client.pragma('journal_mode = WAL')
  client.pragma('synchronous = NORMAL')
  const db = drizzle({ client })
  const outbox = sqliteOutbox({ db })
  return {
    outbox,
    async setUp() {
      db.run(sql`create table changes (event_id text primary key, order_id text not null)`)
      setup(db)
    },
    async change({ eventId, orderId }: Change, rollBack: boolean) {
      db.transaction(
        (tx) => {
          tx.insert(changes).values({ eventId, orderId }).run()
          outbox.enqueue(tx, event('order.changed', { id: eventId, aggregateId: orderId, payload: { orderId } }))
          if (rollBack) throw new ChangedMind()
        },
        { behavior: 'immediate' },
      )
    },
    count: async () => db.$count(changes),
    committed: async () => db.select().from(changes).all(),
    close: async () => void client.close(),
  }
}
