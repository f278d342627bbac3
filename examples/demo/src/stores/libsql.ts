import { join } from 'node:path'
import { createClient } from '@libsql/client'
import { setup, sqliteOutbox } from '@outbox/drizzle/sqlite'
import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/libsql'
import { changes, createTables, orders } from './sqlite-tables.ts'
import { batchesOfOrders, type Change, ChangedMind, type DemoStore, eventOf } from './store.ts'

/** Each process writes one transaction after the other: two at once within it would wait for each other. */
export function libsqlStore(directory: string): DemoStore {
  const client = createClient({ url: `file:${join(directory, 'shop.db')}`, timeout: 5_000 })
  const db = drizzle({ client })
  const outbox = sqliteOutbox({ db })
  let last: Promise<unknown> = Promise.resolve()
  return {
    outbox,
    async setUp(orderIds) {
      await db.run('pragma journal_mode = wal')
      for (const statement of createTables) await db.run(statement)
      for (const batch of batchesOfOrders(orderIds)) await db.insert(orders).values(batch)
      await setup(db)
    },
    async change({ eventId, orderId }: Change, rollBack: boolean) {
      const next = last.then(() =>
        db.transaction(async (tx) => {
          const order = await tx
            .update(orders)
            .set({ changes: sql`changes + 1` })
            .where(eq(orders.id, orderId))
            .returning()
            .get()
          const written = { eventId, orderId, revision: order.changes }
          await tx.insert(changes).values(written)
          await outbox.enqueue(tx, eventOf(written))
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
