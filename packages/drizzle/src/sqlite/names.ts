import { OutboxError } from '@outbox/core'
import { knownOptions } from '@outbox/core/adapter'
import { defaultPrefix } from '../shared/set-up.ts'

/**
 * What the tables of one outbox, and of the inbox beside it, are called. They share a prefix, so that several outboxes
 * fit into one file.
 *
 * So are the indexes that statements name (`INDEXED BY`). Without that SQLite goes by what ANALYZE has counted: once it
 * has met a table nearly empty, it reads that table from end to end, however much there is in it by then. For the same
 * reason a row is looked up by its position in a subquery of its own, which no count can turn into a scan, not in a join.
 */
export interface TableNames {
  readonly prefix: string
  readonly entries: string
  readonly pending: string
  readonly settled: string
  readonly sequences: string
  readonly aggregates: string
  readonly relays: string
  readonly leases: string
  readonly meta: string
  readonly inbox: string
  readonly entriesById: string
  readonly entriesBySequence: string
  readonly pendingScan: string
  readonly pendingOrder: string
  readonly pendingSuspect: string
  readonly settledDead: string
  readonly settledTime: string
  readonly aggregatesDue: string
  readonly inboxHandled: string
}

/** Where the tables are. */
export interface Place {
  /** what the names of the tables begin with, default `outbox_` */
  readonly prefix?: string | undefined
}

/** The prefix in a place that is all that `of` was given. @throws {OutboxError} `invalid-option` for another option */
export function prefixFor(of: string, place: Place): string | undefined {
  return knownOptions(of, place, { prefix: true }).prefix
}

/**
 * The names of all tables under one prefix.
 *
 * @throws {OutboxError} `invalid-option` unless the prefix is an identifier that needs no quotes
 */
export function tableNames(prefix: string = defaultPrefix): TableNames {
  if (!/^[a-z_][a-z0-9_]{0,31}$/.test(prefix) || prefix.startsWith('sqlite_')) {
    throw new OutboxError(
      'invalid-option',
      "The option prefix must be up to 32 lower-case letters, digits and underscores, such as 'outbox_'; 'sqlite_' is SQLite's own.",
      { option: 'prefix' },
    )
  }
  return {
    prefix,
    entries: `${prefix}entries`,
    pending: `${prefix}pending`,
    settled: `${prefix}settled`,
    sequences: `${prefix}sequences`,
    aggregates: `${prefix}aggregates`,
    relays: `${prefix}relays`,
    leases: `${prefix}leases`,
    meta: `${prefix}meta`,
    inbox: `${prefix}inbox`,
    entriesById: `${prefix}entries_id`,
    entriesBySequence: `${prefix}entries_sequence`,
    pendingScan: `${prefix}pending_scan`,
    pendingOrder: `${prefix}pending_order`,
    pendingSuspect: `${prefix}pending_suspect`,
    settledDead: `${prefix}settled_dead`,
    settledTime: `${prefix}settled_time`,
    aggregatesDue: `${prefix}aggregates_due`,
    inboxHandled: `${prefix}inbox_handled`,
  }
}
