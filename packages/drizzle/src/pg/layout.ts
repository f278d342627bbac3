import type { TableKind } from './names.ts'

/**
 * What `check` expects of the database. Raise the version with every change of the tables that needs a migration; a
 * test compares this with what `setup` and drizzle-kit make.
 */
export const layoutVersion: number = 1

export interface TableLayout {
  readonly columns: readonly string[]
  /** names, without the outbox's prefix */
  readonly indexes: readonly string[]
  /** what a relay does to the table */
  readonly privileges: readonly string[]
}

export const layout: Readonly<Record<TableKind, TableLayout>> = Object.freeze({
  entries: {
    columns: [
      ...['position', 'id', 'partition', 'aggregate_type', 'aggregate_id', 'event_type', 'sequence', 'payload'],
      ...['headers', 'occurred_at', 'enqueued_at', 'state', 'refused', 'crashes', 'requeues', 'settled_at', 'reason'],
      'payload_bytes',
    ],
    indexes: [
      ...['entries_pkey', 'entries_sequence', 'entries_scan', 'entries_order', 'entries_suspect', 'entries_dead'],
      'entries_settled',
    ],
    privileges: ['SELECT', 'UPDATE'],
  },
  sequences: {
    columns: ['aggregate_type', 'aggregate_id', 'last_sequence'],
    indexes: ['sequences_pkey'],
    privileges: [],
  },
  aggregates: {
    columns: ['aggregate_type', 'aggregate_id', 'partition', 'waiting_until', 'blocked_by', 'parkings'],
    indexes: ['aggregates_pkey', 'aggregates_due'],
    privileges: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  },
  relays: {
    columns: ['holder', 'beat'],
    indexes: ['relays_pkey'],
    privileges: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  },
  leases: {
    columns: ['partition', 'holder', 'epoch', 'in_flight'],
    indexes: ['leases_pkey'],
    privileges: ['SELECT', 'INSERT', 'UPDATE'],
  },
  meta: { columns: ['key', 'value'], indexes: ['meta_pkey'], privileges: ['SELECT', 'INSERT'] },
})
