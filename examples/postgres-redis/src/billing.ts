import { setTimeout } from 'node:timers/promises'
import type { ReceivedEntry } from '@outbox/core/wire'
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
const blockMs = 1_000

/**
 * Handles each message of the stream and says what it did; a message is acknowledged when the caller asks for the next.
 *
 * So a caller that stops, or dies, leaves its last message unacknowledged: it comes again at the next start, first of
 * all. Needs a connection of its own, which waits for messages. When that is lost, or the stream or its group, it
 * throws: begin again.
 */
export async function* bill(db: NodePgDatabase, redis: Redis, stream: string): AsyncGenerator<string, void> {
  await setTimeout(blockMs) // so long the server may go on with an earlier read, whose connection is gone
  await createGroup(redis, stream)
  let from = '0' // first what this consumer was given and did not acknowledge
  for (;;) {
    const reply = await redis.xreadgroup(
      'GROUP',
      group,
      consumer,
      'COUNT',
      10,
      'BLOCK',
      blockMs,
      'STREAMS',
      stream,
      from,
    )
    const items = reply?.[0]?.[1] ?? []
    for (const item of items) {
      yield item[1] ? await handle(db, decodeRedisEntry(item)) : `${item[0]} was deleted before it was handled`
      await redis.xack(stream, group, item[0])
    }
    if (from !== '>') from = items.at(-1)?.[0] ?? '>' // then what nobody was given yet
  }
}

async function handle(db: NodePgDatabase, event: ReceivedEntry<OrderPlaced>): Promise<string> {
  const { id, eventType, aggregateId, sequence, payload } = event
  const effect =
    eventType === 'order.placed'
      ? await writeInvoice(db, { eventId: id, orderId: aggregateId, cents: payload.cents })
      : 'nothing to do'
  return `${aggregateId} #${sequence} ${eventType}: ${effect}`
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
