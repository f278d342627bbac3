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
import { type Place, prefixFor, tableNames } from './names.ts'
import { nowMs, payloadBytes } from './sql.ts'

/**
 * The tables of one outbox, for drizzle-kit.
 *
 * An entry is written once, to `entries`. It stands in `pending` until it is published, dead or discarded, and in
 * `settled` from then on: what a relay writes are rows of a few bytes, however large the payloads are.
 */
export interface OutboxTables {
  readonly entries: SQLiteTable
  readonly pending: SQLiteTable
  readonly settled: SQLiteTable
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
 * export const { entries, pending, settled, sequences, aggregates, relays, leases, meta } = outboxTables({ prefix: 'mail_' })
 * ```
 * @throws {OutboxError} `invalid-option` when the prefix will not do
 */
export function outboxTables(place: Place = {}): OutboxTables {
  const names = tableNames(prefixFor('outboxTables', place))
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
        requeues: integer('requeues').notNull().default(0),
        occurredAt: integer('occurred_at')
          .notNull()
          .default(sql.raw(`(${nowMs})`)),
        enqueuedAt: integer('enqueued_at')
          .notNull()
          .default(sql.raw(`(${nowMs})`)),
        payloadBytes: integer('payload_bytes')
          .notNull()
          .generatedAlwaysAs(sql.raw(`(${payloadBytes})`), { mode: 'stored' }),
        headers: text('headers').notNull().default('{}'),
        payload: text('payload').notNull(),
      },
      (table) => [
        uniqueIndex(`${prefix}entries_id`).on(table.id),
        uniqueIndex(`${prefix}entries_sequence`).on(table.aggregateType, table.aggregateId, table.sequence),
        check(`${prefix}entries_partition_check`, sql.raw('partition BETWEEN 0 AND 63')),
      ],
    ),
    pending: sqliteTable(
      names.pending,
      {
        position: integer('position').primaryKey(),
        partition: integer('partition').notNull(),
        aggregateType: text('aggregate_type').notNull(),
        aggregateId: text('aggregate_id').notNull(),
        sequence: integer('sequence').notNull(),
        payloadBytes: integer('payload_bytes').notNull(),
        isParked: integer('is_parked').notNull().default(0),
        /** of the entry, since it stands here: a settle reads no wide row */
        requeues: integer('requeues').notNull().default(0),
        refused: integer('refused').notNull().default(0),
        crashes: integer('crashes').notNull().default(0),
        /** what the last refused attempt ended with */
        reason: text('reason'),
      },
      (table) => [
        index(`${prefix}pending_scan`).on(table.partition, table.isParked, table.position),
        index(`${prefix}pending_order`).on(
          table.partition,
          table.aggregateType,
          table.aggregateId,
          table.sequence,
          table.isParked,
        ),
        index(`${prefix}pending_suspect`).on(table.partition, table.position).where(sql.raw('crashes > 0')),
      ],
    ),
    settled: sqliteTable(
      names.settled,
      {
        position: integer('position').primaryKey(),
        partition: integer('partition').notNull(),
        outcome: text('outcome').notNull(),
        settledAt: integer('settled_at').notNull(),
        refused: integer('refused').notNull().default(0),
        /** whose lease it was given up under */
        settledBy: text('settled_by'),
        reason: text('reason'),
      },
      (table) => [
        index(`${prefix}settled_dead`).on(table.position, table.partition).where(sql.raw("outcome = 'dead'")),
        index(`${prefix}settled_time`).on(table.settledAt).where(sql.raw("outcome IN ('published', 'discarded')")),
        check(`${prefix}settled_outcome_check`, sql.raw("outcome IN ('published', 'dead', 'discarded')")),
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
      /** positions of the entries in the holder's hands, as JSON */
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
export function inboxTable(place: Place = {}): SQLiteTable {
  const { prefix, inbox } = tableNames(prefixFor('inboxTable', place))
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
export const outboxPending: SQLiteTable = standard.pending
export const outboxSettled: SQLiteTable = standard.settled
export const outboxSequences: SQLiteTable = standard.sequences
export const outboxAggregates: SQLiteTable = standard.aggregates
export const outboxRelays: SQLiteTable = standard.relays
export const outboxLeases: SQLiteTable = standard.leases
export const outboxMeta: SQLiteTable = standard.meta
export const outboxInbox: SQLiteTable = inboxTable()
