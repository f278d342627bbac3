import { join } from 'node:path'
import { setup, sqliteOutbox } from '@outbox/drizzle/sqlite'
import Database from 'better-sqlite3'
import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { changes, createTables, orders } from './sqlite-tables.ts'
import { batchesOfOrders, type Change, ChangedMind, type DemoStore, eventOf } from './store.ts'

export function sqliteStore(directory: string): DemoStore {
  const client = new Database(join(directory, 'shop.db'), { timeout: 5_000 })
  client.pragma('journal_mode = WAL')
  client.pragma('synchronous = NORMAL')
  const db = drizzle({ client })
  const outbox = sqliteOutbox({ db })
  return {
    outbox,
    async setUp(orderIds) {
      for (const statement of createTables) db.run(sql.raw(statement))
      for (const batch of batchesOfOrders(orderIds)) db.insert(orders).values(batch).run()
      setup(db)
    },
    async change({ eventId, orderId }: Change, rollBack: boolean) {
      db.transaction(
        (tx) => {
          const order = tx
            .update(orders)
            .set({ changes: sql`changes + 1` })
            .where(eq(orders.id, orderId))
            .returning()
            .get()
          const written = { eventId, orderId, revision: order.changes }
          tx.insert(changes).values(written).run()
          outbox.enqueue(tx, eventOf(written))
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
