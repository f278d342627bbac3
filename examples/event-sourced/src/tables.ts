import { sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { integer, pgTable, primaryKey, text, timestamp, uuid } from 'drizzle-orm/pg-core'

/** The log: the truth about every account. It keeps its rows for ever; the outbox purges what is published. */
export const accountEvents = pgTable(
  'account_events',
  {
    accountId: text('account_id').notNull(),
    version: integer().notNull(),
    eventId: uuid('event_id').notNull(),
    type: text({ enum: ['account.opened', 'account.credited', 'account.debited'] }).notNull(),
    cents: integer().notNull(),
    recordedAt: timestamp('recorded_at', { withTimezone: true }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.accountId, table.version] })],
)

/** Written by the consumer: what it made of the events, and up to which version. */
export const balances = pgTable('balances', {
  accountId: text('account_id').primaryKey(),
  version: integer().notNull(),
  cents: integer().notNull(),
})

export async function createTables(db: NodePgDatabase): Promise<void> {
  await db.execute(sql`
    create table account_events (
      account_id text, version integer, event_id uuid not null, type text not null, cents integer not null,
      recorded_at timestamptz not null, primary key (account_id, version)
    );
    create table balances (account_id text primary key, version integer not null, cents integer not null)`)
}
