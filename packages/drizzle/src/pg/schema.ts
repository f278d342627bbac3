import { type BuildExtraConfigColumns, sql } from 'drizzle-orm'
import {
  bigint,
  check,
  index,
  integer,
  json,
  type PgColumnBuilderBase,
  type PgTable,
  type PgTableExtraConfigValue,
  pgSchema,
  pgTable,
  primaryKey,
  smallint,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import { namesFor, type Place, type TableKind } from './names.ts'
import { inOrder, inScan, settledStates } from './states.ts'

/** The tables of an outbox, for drizzle-kit. */
export type OutboxTables = Readonly<Record<TableKind, PgTable>>

/** Every column is named: under a `casing` option drizzle would rename the others, and our SQL would miss them. */
function tableMaker(schema: string | undefined): TableMaker {
  return (name, columns, extras = () => []) =>
    schema === undefined || schema === 'public'
      ? pgTable(name, columns, extras)
      : pgSchema(schema).table(name, columns, extras)
}

/**
 * The tables of an outbox in a schema, or with a prefix, of your own. Give the same place to `pgOutbox`.
 *
 * drizzle-kit sees what your schema file exports, so export each table; a schema of your own is exported by
 * `pgSchema('…')` as usual.
 *
 * @example
 * ```ts
 * export const messaging = pgSchema('messaging')
 * export const { entries, sequences, aggregates, relays, leases, meta } = outboxTables({ schema: 'messaging' })
 * ```
 * @throws {OutboxError} `invalid-option` for a prefix or schema that cannot work
 */
export function outboxTables(place: Place = {}): OutboxTables {
  const { schema, prefix } = namesFor('outboxTables', place)
  const table = tableMaker(schema)
  return Object.freeze({
    entries: table(
      `${prefix}entries`,
      {
        /** decides which aggregates come first, never the order within one */
        position: bigint('position', { mode: 'number' }).generatedAlwaysAsIdentity(),
        id: uuid('id').primaryKey(),
        partition: smallint('partition').notNull(),
        aggregateType: text('aggregate_type').notNull(),
        aggregateId: text('aggregate_id').notNull(),
        eventType: text('event_type').notNull(),
        sequence: bigint('sequence', { mode: 'number' }).notNull(),
        /** json, not jsonb: the text is kept to the byte */
        payload: json('payload').notNull(),
        headers: json('headers').notNull().default(sql`'{}'`),
        occurredAt: instant('occurred_at').notNull().default(sql`statement_timestamp()`),
        enqueuedAt: instant('enqueued_at').notNull().default(sql`statement_timestamp()`),
        state: text('state').notNull().default('pending'),
        refused: integer('refused').notNull().default(0),
        crashes: integer('crashes').notNull().default(0),
        requeues: integer('requeues').notNull().default(0),
        /** when it was published, died, or was discarded */
        settledAt: instant('settled_at'),
        /** the holder of the lease under which it died */
        settledBy: text('settled_by'),
        reason: text('reason'),
        payloadBytes: integer('payload_bytes').notNull().generatedAlwaysAs(sql`octet_length(payload::text)`),
      },
      (entry) => [
        uniqueIndex(`${prefix}entries_sequence`).on(entry.aggregateType, entry.aggregateId, entry.sequence),
        index(`${prefix}entries_scan`).on(entry.partition, entry.state, entry.position).where(sql.raw(inScan)),
        index(`${prefix}entries_order`)
          .on(entry.aggregateType, entry.aggregateId, entry.sequence)
          .where(sql.raw(inOrder)),
        index(`${prefix}entries_suspect`).on(entry.partition, entry.position).where(sql`crashes > 0`),
        index(`${prefix}entries_dead`).on(entry.position, entry.partition).where(sql`state = 'dead'`),
        index(`${prefix}entries_settled`)
          .on(entry.settledAt)
          .where(sql.raw(`state in ${settledStates}`)),
        check(`${prefix}entries_partition_check`, sql`partition between 0 and 63`),
        check(`${prefix}entries_state_check`, sql`state in ('pending', 'parked', 'published', 'dead', 'discarded')`),
      ],
    ),
    /** the last number that the store gave to an aggregate */
    sequences: table(
      `${prefix}sequences`,
      {
        aggregateType: text('aggregate_type').notNull(),
        aggregateId: text('aggregate_id').notNull(),
        lastSequence: bigint('last_sequence', { mode: 'number' }).notNull(),
      },
      (row) => [primaryKey({ name: `${prefix}sequences_pkey`, columns: [row.aggregateType, row.aggregateId] })],
    ),
    /** aggregates whose entries the scan leaves out, because they wait, are blocked, or are too many */
    aggregates: table(
      `${prefix}aggregates`,
      {
        aggregateType: text('aggregate_type').notNull(),
        aggregateId: text('aggregate_id').notNull(),
        partition: smallint('partition').notNull(),
        /** infinity while it is blocked */
        waitingUntil: instant('waiting_until').notNull(),
        blockedBy: uuid('blocked_by').array().notNull().default(sql`'{}'`),
        /** raised whenever entries are parked: who deletes the row compares it */
        parkings: integer('parkings').notNull().default(0),
      },
      (row) => [
        primaryKey({ name: `${prefix}aggregates_pkey`, columns: [row.aggregateType, row.aggregateId] }),
        index(`${prefix}aggregates_due`).on(row.partition, row.waitingUntil),
      ],
    ),
    relays: table(`${prefix}relays`, {
      holder: text('holder').primaryKey(),
      beat: bigint('beat', { mode: 'number' }).notNull().default(0),
    }),
    leases: table(`${prefix}leases`, {
      partition: smallint('partition').primaryKey(),
      holder: text('holder'),
      epoch: bigint('epoch', { mode: 'number' }).notNull().default(0),
      inFlight: uuid('in_flight').array().notNull().default(sql`'{}'`),
    }),
    meta: table(`${prefix}meta`, {
      key: text('key').primaryKey(),
      value: text('value').notNull(),
    }),
  })
}

/** The table of an inbox, in a schema or with a prefix of your own. Give the same place to `pgInbox`. */
export function inboxTable(place: Place = {}): PgTable {
  const { schema, prefix } = namesFor('inboxTable', place)
  return tableMaker(schema)(
    `${prefix}inbox`,
    {
      consumer: text('consumer').notNull(),
      messageId: text('message_id').notNull(),
      handledAt: instant('handled_at').notNull().default(sql`statement_timestamp()`),
    },
    (row) => [
      primaryKey({ name: `${prefix}inbox_pkey`, columns: [row.consumer, row.messageId] }),
      index(`${prefix}inbox_handled`).on(row.handledAt),
    ],
  )
}

type TableMaker = <Columns extends Record<string, PgColumnBuilderBase>>(
  name: string,
  columns: Columns,
  extras?: (self: BuildExtraConfigColumns<string, Columns, 'pg'>) => PgTableExtraConfigValue[],
) => PgTable

function instant(name: string) {
  return timestamp(name, { withTimezone: true })
}

const tables: OutboxTables = outboxTables()

export const outboxEntries: PgTable = tables.entries
export const outboxSequences: PgTable = tables.sequences
export const outboxAggregates: PgTable = tables.aggregates
export const outboxRelays: PgTable = tables.relays
export const outboxLeases: PgTable = tables.leases
export const outboxMeta: PgTable = tables.meta
export const outboxInbox: PgTable = inboxTable()
