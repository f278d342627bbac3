import { OutboxError, partitionHash } from '@outbox/core'
import { knownOptions } from '@outbox/core/adapter'
import { defaultPrefix } from '../shared/set-up.ts'

/** Where the tables of an outbox are. */
export interface Place {
  /** default: wherever the connection's `search_path` finds the tables, usually `public` */
  readonly schema?: string | undefined
  /** in front of every table's and index's name; default `outbox_` */
  readonly prefix?: string | undefined
}

/** Every option of a place, for those that it is among. */
export const placeOptions: Readonly<Record<keyof Place, true>> = { schema: true, prefix: true }

export const tableKinds = ['entries', 'sequences', 'aggregates', 'relays', 'leases', 'meta'] as const
export type TableKind = (typeof tableKinds)[number]

/** What the log engine has besides. */
export const logKinds = ['log', 'log_cursors', 'log_leaves', 'log_slot'] as const
export type LogKind = (typeof logKinds)[number]

/** The names of one outbox and of the inbox beside it, the tables' ready to stand in SQL. */
export interface Names extends Readonly<Record<TableKind | LogKind | 'inbox', string>> {
  readonly schema: string | undefined
  readonly prefix: string
  /** what a relay listens on */
  readonly channel: string
}

/**
 * Checks a place and works out the names in it.
 *
 * @throws {OutboxError} `invalid-option` for a prefix or schema that cannot work
 */
export function namesIn(place: Place = {}): Names {
  const { schema, prefix = defaultPrefix } = place
  // 32 leaves room for the longest index name within PostgreSQL's 63 bytes
  if (typeof prefix !== 'string' || !/^[a-z_][a-z0-9_]{0,31}$/.test(prefix)) {
    throw new OutboxError(
      'invalid-option',
      `The option prefix must be up to 32 lower-case letters, digits and underscores, such as 'outbox_'.`,
      { option: 'prefix' },
    )
  }
  if (schema !== undefined && (typeof schema !== 'string' || !/^[^\0$]{1,63}$/.test(schema))) {
    throw new OutboxError(
      'invalid-option',
      `The option schema must be the name of a schema, such as 'messaging', without a dollar sign.`,
      {
        option: 'schema',
      },
    )
  }
  const table = (kind: TableKind | LogKind | 'inbox'): string =>
    schema === undefined ? quoted(`${prefix}${kind}`) : `${quoted(schema)}.${quoted(`${prefix}${kind}`)}`
  return Object.freeze({
    schema,
    prefix,
    entries: table('entries'),
    sequences: table('sequences'),
    aggregates: table('aggregates'),
    relays: table('relays'),
    leases: table('leases'),
    meta: table('meta'),
    inbox: table('inbox'),
    log: table('log'),
    log_cursors: table('log_cursors'),
    log_leaves: table('log_leaves'),
    log_slot: table('log_slot'),
    // a hash, because a schema's name and a prefix may be longer together than a channel's name may be; where no schema
    // is named it usually is `public`, and who is told of another outbox looks once in vain
    channel: `outbox_wake_${partitionHash(schema ?? 'public', prefix)
      .toString(16)
      .padStart(8, '0')}`,
  })
}

/** As `namesIn`, of a place that is all that `of` was given. @throws {OutboxError} `invalid-option` for another option, too */
export function namesFor(of: string, place: Place): Names {
  return namesIn(knownOptions(of, place, placeOptions))
}

/** An identifier in SQL. */
export function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}
