import type { TableKind } from './names.ts'

/**
 * The version of the outbox's tables. Raise it with every change that the columns do not tell, and let the migration
 * write it down: the row `version` of the table `meta`. Until somebody has (the first relay does), the columns tell.
 */
export const layoutVersion: number = 1

/** The version of the inbox's table, likewise: the row `inbox-version` of the table `meta`, if that is there. */
export const inboxVersion: number = 1

/** What `check` expects of a table; a test compares it with what `setup` and drizzle-kit make. */
export interface TableLayout {
  readonly columns: readonly string[]
  /** names, without the outbox's prefix */
  readonly indexes: readonly string[]
}

export const layout: Readonly<Record<TableKind, TableLayout>> = Object.freeze({
  entries: {
    columns: [
      ...['position', 'id', 'partition', 'aggregate_type', 'aggregate_id', 'event_type', 'sequence', 'payload'],
      ...['headers', 'occurred_at', 'enqueued_at', 'state', 'refused', 'crashes', 'requeues', 'settled_at'],
      ...['settled_by', 'reason', 'payload_bytes'],
    ],
    indexes: [
      ...['entries_pkey', 'entries_sequence', 'entries_scan', 'entries_order', 'entries_suspect', 'entries_dead'],
      'entries_settled',
    ],
  },
  sequences: {
    columns: ['aggregate_type', 'aggregate_id', 'last_sequence'],
    indexes: ['sequences_pkey'],
  },
  aggregates: {
    columns: ['aggregate_type', 'aggregate_id', 'partition', 'waiting_until', 'blocked_by', 'parkings'],
    indexes: ['aggregates_pkey', 'aggregates_due'],
  },
  relays: {
    columns: ['holder', 'beat'],
    indexes: ['relays_pkey'],
  },
  leases: {
    columns: ['partition', 'holder', 'epoch', 'in_flight'],
    indexes: ['leases_pkey'],
  },
  meta: { columns: ['key', 'value'], indexes: ['meta_pkey'] },
})

export const inboxLayout: TableLayout = Object.freeze({
  columns: ['consumer', 'message_id', 'handled_at'],
  indexes: ['inbox_pkey', 'inbox_handled'],
})
