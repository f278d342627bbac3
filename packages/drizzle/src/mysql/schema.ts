import { type BuildColumns, sql } from 'drizzle-orm'
import {
  bigint,
  binary,
  customType,
  datetime,
  index,
  int,
  type MySqlColumnBuilderBase,
  type MySqlTable,
  type MySqlTableExtraConfigValue,
  mysqlEnum,
  mysqlSchema,
  mysqlTable,
  primaryKey,
  tinyint,
  uniqueIndex,
  varbinary,
} from 'drizzle-orm/mysql-core'
import { namesFor, type Place, type TableKind } from './names.ts'

/** The tables of an outbox, for drizzle-kit. */
export type OutboxTables = Readonly<Record<TableKind, MySqlTable>>

type TableMaker = <Columns extends Record<string, MySqlColumnBuilderBase>>(
  name: string,
  columns: Columns,
  extras?: (self: BuildColumns<string, Columns, 'mysql'>) => MySqlTableExtraConfigValue[],
) => MySqlTable

/** Every column is named: under a `casing` option drizzle would rename the others, and our SQL would miss them. */
function tableMaker(schema: string | undefined): TableMaker {
  return (name, columns, extras = () => []) =>
    schema === undefined ? mysqlTable(name, columns, extras) : mysqlSchema(schema).table(name, columns, extras)
}

/**
 * The tables of an outbox with a prefix, or in a database, of your own. Give the same place to `mysqlOutbox`.
 *
 * drizzle-kit sees what your schema file exports, so export each table. It makes the tables of the database that it is
 * connected to, and leaves out those of any other: for these leave `schema` away here, and connect it to that database.
 *
 * @example
 * ```ts
 * export const { entries, sequences, aggregates, relays, leases, meta } = outboxTables({ prefix: 'mail_' })
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
        position: bigCount('position').notNull().autoincrement().primaryKey(),
        id: binary('id', { length: 16 }).notNull(),
        partition: tinyint('partition', { unsigned: true }).notNull(),
        aggregateType: varbinary('aggregate_type', { length: 255 }).notNull(),
        aggregateId: varbinary('aggregate_id', { length: 512 }).notNull(),
        eventType: varbinary('event_type', { length: 255 }).notNull(),
        sequence: bigCount('sequence').notNull(),
        /** not JSON, which reorders keys: the text is kept to the byte */
        payload: utf8('payload').notNull(),
        headers: utf8('headers').notNull().default(sql`('{}')`),
        occurredAt: time('occurred_at').notNull().default(now),
        enqueuedAt: time('enqueued_at').notNull().default(now),
        state: mysqlEnum('state', ['pending', 'published', 'dead', 'discarded']).notNull().default('pending'),
        /** where a pending entry is found: in the scan, behind its aggregate's row, or alone because it has crashes */
        place: mysqlEnum('place', ['scanned', 'parked', 'suspect']).notNull().default('scanned'),
        refused: count('refused').notNull().default(0),
        crashes: count('crashes').notNull().default(0),
        requeues: count('requeues').notNull().default(0),
        /** 1: dead, and its aggregate stands still */
        blocks: tinyint('blocks', { unsigned: true }).notNull().default(0),
        /**
         * When it was published, died, or was discarded; means nothing before. Never null: a row that grows when it is
         * settled is moved within its page, which doubles what a settle costs.
         */
        settledAt: time('settled_at').notNull().default(now),
        /** the holder of the lease under which it died */
        settledBy: varbinary('settled_by', { length: 255 }),
        reason: utf8('reason'),
        payloadBytes: count('payload_bytes').generatedAlwaysAs(sql`octet_length(\`payload\`)`, { mode: 'stored' }),
      },
      (entry) => [
        uniqueIndex(`${prefix}entries_id`).on(entry.id),
        uniqueIndex(`${prefix}entries_sequence`).on(entry.aggregateType, entry.aggregateId, entry.sequence),
        index(`${prefix}entries_scan`).on(entry.partition, entry.state, entry.place, entry.position),
        index(`${prefix}entries_order`).on(entry.aggregateType, entry.aggregateId, entry.state, entry.sequence),
        index(`${prefix}entries_settled`).on(entry.state, entry.settledAt),
      ],
    ),
    /** the last number that the store gave to an aggregate */
    sequences: table(
      `${prefix}sequences`,
      {
        aggregateType: varbinary('aggregate_type', { length: 255 }).notNull(),
        aggregateId: varbinary('aggregate_id', { length: 512 }).notNull(),
        lastSequence: bigCount('last_sequence').notNull(),
      },
      (row) => [primaryKey({ name: `${prefix}sequences_pkey`, columns: [row.aggregateType, row.aggregateId] })],
    ),
    /** aggregates whose entries the scan leaves out, because they wait, are blocked, or are too many */
    aggregates: table(
      `${prefix}aggregates`,
      {
        aggregateType: varbinary('aggregate_type', { length: 255 }).notNull(),
        aggregateId: varbinary('aggregate_id', { length: 512 }).notNull(),
        partition: tinyint('partition', { unsigned: true }).notNull(),
        waitingUntil: time('waiting_until').notNull(),
        /** dead entries that block it */
        blockers: count('blockers').notNull().default(0),
        /** raised whenever entries are parked: who deletes the row compares it */
        parkings: bigCount('parkings').notNull().default(0),
      },
      (row) => [
        primaryKey({ name: `${prefix}aggregates_pkey`, columns: [row.aggregateType, row.aggregateId] }),
        index(`${prefix}aggregates_due`).on(row.partition, row.blockers, row.waitingUntil),
      ],
    ),
    relays: table(`${prefix}relays`, {
      holder: varbinary('holder', { length: 255 }).notNull().primaryKey(),
      beat: bigCount('beat').notNull().default(0),
    }),
    leases: table(`${prefix}leases`, {
      partition: tinyint('partition', { unsigned: true }).notNull().primaryKey(),
      holder: varbinary('holder', { length: 255 }),
      epoch: bigCount('epoch').notNull().default(0),
      /** positions, as a JSON array: notes, for as long as no settle has followed them */
      inFlight: utf8('in_flight').notNull().default(sql`('[]')`),
      /** what `settles` was when they were noted */
      notedAfter: bigCount('noted_after').notNull().default(0),
      /** raised by every settle */
      settles: bigCount('settles').notNull().default(0),
    }),
    meta: table(`${prefix}meta`, {
      key: varbinary('key', { length: 300 }).notNull().primaryKey(),
      value: varbinary('value', { length: 255 }).notNull(),
    }),
  })
}

/** The table of an inbox, in a database or with a prefix of your own. Give the same place to `mysqlInbox`. */
export function inboxTable(place: Place = {}): MySqlTable {
  const { schema, prefix } = namesFor('inboxTable', place)
  return tableMaker(schema)(
    `${prefix}inbox`,
    {
      consumer: varbinary('consumer', { length: 255 }).notNull(),
      messageId: varbinary('message_id', { length: 255 }).notNull(),
      handledAt: time('handled_at').notNull().default(now),
    },
    (row) => [
      primaryKey({ name: `${prefix}inbox_pkey`, columns: [row.consumer, row.messageId] }),
      index(`${prefix}inbox_handled`).on(row.handledAt),
    ],
  )
}

/** UTC, whatever the session's time zone is. */
const now = sql`(utc_timestamp(6))`

function time(name: string) {
  return datetime(name, { fsp: 6 })
}

function count(name: string) {
  return int(name, { unsigned: true })
}

function bigCount(name: string) {
  return bigint(name, { mode: 'number', unsigned: true })
}

/** The character set is named, because a database's default may be another. */
const utf8 = customType<{ data: string }>({
  dataType: () => 'longtext character set utf8mb4 collate utf8mb4_bin',
})

const tables: OutboxTables = outboxTables()

export const outboxEntries: MySqlTable = tables.entries
export const outboxSequences: MySqlTable = tables.sequences
export const outboxAggregates: MySqlTable = tables.aggregates
export const outboxRelays: MySqlTable = tables.relays
export const outboxLeases: MySqlTable = tables.leases
export const outboxMeta: MySqlTable = tables.meta

export const outboxInbox: MySqlTable = inboxTable()
