import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

export const orders = sqliteTable('orders', {
  id: text('id').primaryKey(),
  changes: integer('changes').notNull(),
})

export const changes = sqliteTable('changes', {
  eventId: text('event_id').primaryKey(),
  orderId: text('order_id').notNull(),
  revision: integer('revision').notNull(),
})

export const createTables: readonly string[] = [
  'create table orders (id text primary key, changes integer not null)',
  'create table changes (event_id text primary key, order_id text not null, revision integer not null)',
]
