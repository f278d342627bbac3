import type { ReceivedEntry } from '@outbox/core/wire'
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import type { OrderChange } from './shop.ts'

const bookings = sqliteTable('bookings', {
  eventId: text('event_id').primaryKey(),
  cents: integer().notNull(),
})

/** Books an event once, however often it is read: the event's id is the booking's key. */
export function book(db: BetterSQLite3Database, { id, eventType, payload }: ReceivedEntry<OrderChange>): string {
  const cents = eventType === 'order.cancelled' ? -payload.cents : payload.cents
  const { changes } = db.insert(bookings).values({ eventId: id, cents }).onConflictDoNothing().run()
  return changes > 0 ? `booked ${cents} cents` : 'is booked already'
}
