import { decodeRedisEntry } from '@outbox/redis'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import type { Redis } from 'ioredis'
import type { OrderPlaced } from './shop.ts'

const invoices = pgTable('invoices', {
  eventId: uuid('event_id').primaryKey(),
  orderId: text('order_id').notNull(),
  cents: integer().notNull(),
})

const group = 'billing'
/** One consumer keeps the order of the stream; a second one in the group would share the messages with it. */
const consumer = 'billing-1'

/**
 * Handles each message of the stream and says what it did; a message is acknowledged when the caller asks for the next.
 *
 * So a caller that stops, or dies, leaves its last message unacknowledged: it comes again at the next start, first of
 * all. Needs a connection of its own, which waits for messages. When that is lost it throws: begin again.
 */
export async function* bill(db: NodePgDatabase, redis: Redis, stream: string): AsyncGenerator<string, void> {
  await createGroup(redis, stream)
  let from = '0' // first what this consumer was given and did not acknowledge
  for (;;) {
    const reply = await redis.xreadgroup('GROUP', group, consumer, 'COUNT', 10, 'BLOCK', 5_000, 'STREAMS', stream, from)
    const items = reply?.[0]?.[1] ?? []
    for (const item of items) {
      const { id, eventType, aggregateId, sequence, payload } = decodeRedisEntry<OrderPlaced>(item)
      const effect =
        eventType === 'order.placed'
          ? await writeInvoice(db, { eventId: id, orderId: aggregateId, cents: payload.cents })
          : 'nothing to do'
      yield `${aggregateId} #${sequence} ${eventType}: ${effect}`
      await redis.xack(stream, group, item[0])
    }
    if (from !== '>') from = items.at(-1)?.[0] ?? '>' // then what nobody was given yet
  }
}

/** Makes one invoice per event, however often it is delivered: the event's id is the invoice's key. */
async function writeInvoice(db: NodePgDatabase, invoice: typeof invoices.$inferInsert): Promise<string> {
  const written = await db.insert(invoices).values(invoice).onConflictDoNothing().returning()
  return written.length > 0 ? `invoice over ${invoice.cents} cents` : 'has its invoice already'
}

async function createGroup(redis: Redis, stream: string): Promise<void> {
  try {
    await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
  } catch (error) {
    const exists = error instanceof Error && error.message.startsWith('BUSYGROUP')
    if (!exists) throw error
  }
}
