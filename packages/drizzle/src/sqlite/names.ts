import { OutboxError } from '@outbox/core'
import { knownOptions } from '@outbox/core/adapter'

/**
 * What the tables of one outbox, and of the inbox beside it, are called. They share a prefix, so that several outboxes
 * fit into one file.
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
}

export const defaultPrefix: string = 'outbox_'

/** Where the tables are. */
export interface Place {
  /** what the names of the tables begin with, default `outbox_` */
  readonly prefix?: string
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
  }
}
