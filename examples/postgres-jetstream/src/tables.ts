import { sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'

export const parcels = pgTable('parcels', {
  label: text().primaryKey(),
  grams: integer().notNull(),
  requestId: uuid('request_id').notNull().unique(),
  deliveredTo: text('delivered_to'),
})

/** written by the consumer */
export const postages = pgTable('postages', {
  eventId: uuid('event_id').primaryKey(),
  label: text().notNull(),
  cents: integer().notNull(),
})

export async function createTables(db: NodePgDatabase): Promise<void> {
  await db.execute(sql`
    create table parcels (
      label text primary key, grams integer not null, request_id uuid not null unique, delivered_to text
    );
    create table postages (event_id uuid primary key, label text not null, cents integer not null)`)
}
