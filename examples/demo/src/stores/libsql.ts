import { join } from 'node:path'
import { createClient } from '@libsql/client'
import { event } from '@outbox/core'
import { setup, sqliteOutbox } from '@outbox/drizzle/sqlite'
import { drizzle } from 'drizzle-orm/libsql'
import { sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { type Change, ChangedMind, type DemoStore } from './store.ts'

const changes = sqliteTable('changes', {
  eventId: text('event_id').primaryKey(),
  orderId: text('order_id').notNull(),
})

/** Each process writes one transaction after the other: two at once within it would wait for each other. */
export function libsqlStore(directory: string): DemoStore {
  const client = createClient({ url: `file:${join(directory, 'shop.db')}`, timeout: 5_000 })
  const db = drizzle({ client })
  const outbox = sqliteOutbox({ db })
  let last: Promise<unknown> = Promise.resolve()
  return {
    outbox,
    async setUp() {
      await db.run('pragma journal_mode = wal')
      await db.run('create table changes (event_id text primary key, order_id text not null)')
      await setup(db)
    },
    async change({ eventId, orderId }: Change, rollBack: boolean) {
      const next = last.then(() =>
        db.transaction(async (tx) => {
          await tx.insert(changes).values({ eventId, orderId })
          await outbox.enqueue(tx, event('order.changed', { id: eventId, aggregateId: orderId, payload: { orderId } }))
          if (rollBack) throw new ChangedMind()
        }),
      )
      last = next.catch(() => undefined) // told to whoever began it
      await next
    },
    count: () => db.$count(changes),
    committed: () => db.select().from(changes),
    close: async () => client.close(),
  }
}
