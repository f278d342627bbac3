import { sql } from 'drizzle-orm'
import {
  check,
  index,
  integer,
  primaryKey,
  type SQLiteTable,
  sqliteTable,
  text,
  uniqueIndex,
} from 'drizzle-orm/sqlite-core'
import { tableNames } from './names.ts'
import { isPending, nowMs, payloadBytes } from './sql.ts'

/** The tables of one outbox, for drizzle-kit. */
export interface OutboxTables {
  readonly entries: SQLiteTable
  readonly sequences: SQLiteTable
  readonly aggregates: SQLiteTable
  readonly relays: SQLiteTable
  readonly leases: SQLiteTable
  readonly meta: SQLiteTable
}

/**
 * The tables of an outbox under a prefix of your own, for your drizzle schema. They are the same as `setupSql` makes.
 *
 * Under the default prefix they are exported ready made: `outboxEntries` and so on.
 *
 * @example
 * ```ts
 * export const { entries, sequences, aggregates, relays, leases, meta } = outboxTables({ prefix: 'mail_' })
 * ```
 * @throws {OutboxError} `invalid-option` when the prefix will not do
 */
export function outboxTables(options: { readonly prefix?: string } = {}): OutboxTables {
  const names = tableNames(options.prefix)
  const { prefix } = names
  return {
    // The wide columns stand last: SQLite reads a row from its beginning, through overflow pages if it must.
    entries: sqliteTable(
      names.entries,
      {
        position: integer('position').primaryKey({ autoIncrement: true }),
        id: text('id').notNull(),
        partition: integer('partition').notNull(),
        aggregateType: text('aggregate_type').notNull(),
        aggregateId: text('aggregate_id').notNull(),
        eventType: text('event_type').notNull(),
        sequence: integer('sequence').notNull(),
        state: text('state').notNull().default('pending'),
        refused: integer('refused').notNull().default(0),
        crashes: integer('crashes').notNull().default(0),
        requeues: integer('requeues').notNull().default(0),
        occurredAt: integer('occurred_at')
          .notNull()
          .default(sql.raw(`(${nowMs})`)),
        enqueuedAt: integer('enqueued_at')
          .notNull()
          .default(sql.raw(`(${nowMs})`)),
        settledAt: integer('settled_at'),
        /** whose lease it was given up under */
        settledBy: text('settled_by'),
        payloadBytes: integer('payload_bytes')
          .notNull()
          .generatedAlwaysAs(sql.raw(`(${payloadBytes})`), { mode: 'stored' }),
        reason: text('reason'),
        headers: text('headers').notNull().default('{}'),
        payload: text('payload').notNull(),
      },
      (table) => [
        uniqueIndex(`${prefix}entries_id`).on(table.id),
        uniqueIndex(`${prefix}entries_sequence`).on(table.aggregateType, table.aggregateId, table.sequence),
        index(`${prefix}entries_scan`).on(table.partition, table.position).where(sql.raw("state = 'pending'")),
        index(`${prefix}entries_parked`).on(table.partition, table.position).where(sql.raw("state = 'parked'")),
        index(`${prefix}entries_order`)
          .on(table.aggregateType, table.aggregateId, table.sequence, table.state)
          .where(sql.raw(isPending)),
        index(`${prefix}entries_suspect`).on(table.partition, table.position).where(sql.raw('crashes > 0')),
        index(`${prefix}entries_dead`).on(table.position, table.partition).where(sql.raw("state = 'dead'")),
        index(`${prefix}entries_settled`).on(table.settledAt).where(sql.raw("state IN ('published', 'discarded')")),
        check(`${prefix}entries_partition_check`, sql.raw('partition BETWEEN 0 AND 63')),
        check(
          `${prefix}entries_state_check`,
          sql.raw("state IN ('pending', 'parked', 'published', 'dead', 'discarded')"),
        ),
      ],
    ),
    sequences: sqliteTable(
      names.sequences,
      {
        aggregateType: text('aggregate_type').notNull(),
        aggregateId: text('aggregate_id').notNull(),
        lastSequence: integer('last_sequence').notNull(),
      },
      (table) => [primaryKey({ columns: [table.aggregateType, table.aggregateId] })],
    ),
    aggregates: sqliteTable(
      names.aggregates,
      {
        aggregateType: text('aggregate_type').notNull(),
        aggregateId: text('aggregate_id').notNull(),
        partition: integer('partition').notNull(),
        waitingUntil: integer('waiting_until').notNull(),
        /** ids of dead entries, as JSON */
        blockedBy: text('blocked_by').notNull().default('[]'),
      },
      (table) => [
        primaryKey({ columns: [table.aggregateType, table.aggregateId] }),
        index(`${prefix}aggregates_due`).on(table.partition, table.waitingUntil).where(sql.raw("blocked_by = '[]'")),
      ],
    ),
    relays: sqliteTable(names.relays, {
      holder: text('holder').primaryKey(),
      beat: integer('beat').notNull().default(0),
    }),
    leases: sqliteTable(names.leases, {
      partition: integer('partition').primaryKey(),
      epoch: integer('epoch').notNull().default(0),
      holder: text('holder'),
      /** ids of the entries in the holder's hands, as JSON */
      inFlight: text('in_flight').notNull().default('[]'),
    }),
    meta: sqliteTable(names.meta, {
      key: text('key').primaryKey(),
      value: text('value').notNull(),
    }),
  }
}

/**
 * The table of an inbox under a prefix of your own, for your drizzle schema; under the default one it is `outboxInbox`.
 *
 * @throws {OutboxError} `invalid-option` when the prefix will not do
 */
export function inboxTable(options: { readonly prefix?: string } = {}): SQLiteTable {
  const { prefix, inbox } = tableNames(options.prefix)
  return sqliteTable(
    inbox,
    {
      consumer: text('consumer').notNull(),
      messageId: text('message_id').notNull(),
      handledAt: integer('handled_at')
        .notNull()
        .default(sql.raw(`(${nowMs})`)),
    },
    (table) => [
      primaryKey({ columns: [table.consumer, table.messageId] }),
      index(`${prefix}inbox_handled`).on(table.handledAt),
    ],
  )
}

const standard: OutboxTables = outboxTables()

export const outboxEntries: SQLiteTable = standard.entries
export const outboxSequences: SQLiteTable = standard.sequences
export const outboxAggregates: SQLiteTable = standard.aggregates
export const outboxRelays: SQLiteTable = standard.relays
export const outboxLeases: SQLiteTable = standard.leases
export const outboxMeta: SQLiteTable = standard.meta
export const outboxInbox: SQLiteTable = inboxTable()
