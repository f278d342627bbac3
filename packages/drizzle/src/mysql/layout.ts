import type { TableKind } from './names.ts'

/**
 * The version of the outbox's tables. Raise it with every change that the columns do not tell, and let the migration
 * write it down: the row `version` of the table `meta`. Until somebody has (the first relay does), the columns tell.
 */
export const layoutVersion: number = 1

/** The version of the inbox's table, likewise: the row `inbox-version` of the table `meta`, if that is there. */
export const inboxVersion: number = 1

/** A table as `setup` makes it, as drizzle-kit makes it (a test compares the two), and as `check` expects it. */
export interface TableLayout {
  readonly columns: Readonly<Record<string, Column>>
  /** columns of the primary key */
  readonly primaryKey: readonly string[]
  /** columns by name, the name without the outbox's prefix */
  readonly indexes: Readonly<Record<string, Index>>
}

export interface Column {
  /** as `information_schema` writes it, without the widths that MariaDB adds to whole numbers */
  readonly type: string
  /** what stands behind the type when the table is made */
  readonly rest: string
}

export interface Index {
  readonly columns: readonly string[]
  readonly isUnique: boolean
}

function required(type: string, rest = ''): Column {
  return { type, rest: ` not null${rest}` }
}

function optional(type: string): Column {
  return { type, rest: '' }
}

/**
 * Names are bytes: compared byte for byte, trailing spaces included, on both servers, and within the 3,072 bytes that
 * a key may have.
 */
const name: Column = required('varbinary(255)')
const aggregateId: Column = required('varbinary(512)')
const count: Column = required('int unsigned', ' default 0')
const bigCount: Column = required('bigint unsigned', ' default 0')
const now: Column = required('datetime(6)', ' default (utc_timestamp(6))')

/** Text that is never compared. Its character set is named: the database's default may be another. */
const textType = 'longtext'
const utf8 = ' character set utf8mb4 collate utf8mb4_bin'

function key(...columns: readonly string[]): Index {
  return { columns, isUnique: false }
}

function uniqueKey(...columns: readonly string[]): Index {
  return { columns, isUnique: true }
}

export const layout: Readonly<Record<TableKind, TableLayout>> = Object.freeze({
  entries: {
    columns: {
      /** decides which aggregates come first, never the order within one */
      position: required('bigint unsigned', ' auto_increment'),
      id: required('binary(16)'),
      partition: required('tinyint unsigned'),
      aggregate_type: name,
      aggregate_id: aggregateId,
      event_type: name,
      sequence: required('bigint unsigned'),
      /** not JSON, which reorders keys: the text is kept to the byte */
      payload: { type: textType, rest: `${utf8} not null` },
      headers: { type: textType, rest: `${utf8} not null default ('{}')` },
      occurred_at: now,
      enqueued_at: now,
      state: required("enum('pending','published','dead','discarded')", " default 'pending'"),
      /** where a pending entry is found: in the scan, behind its aggregate's row, or alone because it has crashes */
      place: required("enum('scanned','parked','suspect')", " default 'scanned'"),
      refused: count,
      crashes: count,
      requeues: count,
      /** 1: dead, and its aggregate stands still */
      blocks: required('tinyint unsigned', ' default 0'),
      /**
       * When it was published, died, or was discarded; means nothing before. Never null: a row that grows when it is
       * settled is moved within its page, which doubles what a settle costs.
       */
      settled_at: now,
      /** the holder of the lease under which it died */
      settled_by: optional('varbinary(255)'),
      reason: { type: textType, rest: utf8 },
      payload_bytes: { type: 'int unsigned', rest: ' generated always as (octet_length(`payload`)) stored' },
    },
    primaryKey: ['position'],
    indexes: {
      entries_id: uniqueKey('id'),
      entries_sequence: uniqueKey('aggregate_type', 'aggregate_id', 'sequence'),
      entries_scan: key('partition', 'state', 'place', 'position'),
      entries_order: key('aggregate_type', 'aggregate_id', 'state', 'sequence'),
      entries_settled: key('state', 'settled_at'),
    },
  },
  /** the last number that the store gave to an aggregate */
  sequences: {
    columns: { aggregate_type: name, aggregate_id: aggregateId, last_sequence: required('bigint unsigned') },
    primaryKey: ['aggregate_type', 'aggregate_id'],
    indexes: {},
  },
  /** aggregates whose entries the scan leaves out, because they wait, are blocked, or are too many */
  aggregates: {
    columns: {
      aggregate_type: name,
      aggregate_id: aggregateId,
      partition: required('tinyint unsigned'),
      waiting_until: required('datetime(6)'),
      /** dead entries that block it */
      blockers: count,
      /** raised whenever entries are parked: who deletes the row compares it */
      parkings: bigCount,
    },
    primaryKey: ['aggregate_type', 'aggregate_id'],
    indexes: { aggregates_due: key('partition', 'blockers', 'waiting_until') },
  },
  relays: {
    columns: { holder: name, beat: bigCount },
    primaryKey: ['holder'],
    indexes: {},
  },
  leases: {
    columns: {
      partition: required('tinyint unsigned'),
      holder: optional('varbinary(255)'),
      epoch: bigCount,
      /** positions, as a JSON array: notes, for as long as no settle has followed them */
      in_flight: { type: textType, rest: `${utf8} not null default ('[]')` },
      /** what `settles` was when they were noted */
      noted_after: bigCount,
      /** raised by every settle, so that its row is changed by each, and the driver's count tells that it was */
      settles: bigCount,
    },
    primaryKey: ['partition'],
    indexes: {},
  },
  meta: {
    columns: { key: required('varbinary(300)'), value: name },
    primaryKey: ['key'],
    indexes: {},
  },
})

export const inboxLayout: TableLayout = Object.freeze({
  columns: { consumer: name, message_id: name, handled_at: now },
  primaryKey: ['consumer', 'message_id'],
  indexes: { inbox_handled: key('handled_at') },
})
