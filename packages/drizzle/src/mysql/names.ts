import { OutboxError } from '@outbox/core'
import { knownOptions } from '@outbox/core/adapter'
import { defaultPrefix } from '../shared/set-up.ts'

/** Where the tables of an outbox are. */
export interface Place {
  /** the database (MySQL's word: schema) of the tables; default: the one that the connection is in */
  readonly schema?: string | undefined
  /** in front of every table's and index's name; default `outbox_` */
  readonly prefix?: string | undefined
}

/** Every option of a place, for those that it is among. */
export const placeOptions: Readonly<Record<keyof Place, true>> = { schema: true, prefix: true }

export const tableKinds = ['entries', 'sequences', 'aggregates', 'relays', 'leases', 'meta'] as const
export type TableKind = (typeof tableKinds)[number]

/** The names of one outbox and of the inbox beside it, the tables' ready to stand in SQL. */
export interface Names extends Readonly<Record<TableKind | 'inbox', string>> {
  readonly schema: string | undefined
  readonly prefix: string
}

/**
 * Checks a place and works out the names in it.
 *
 * @throws {OutboxError} `invalid-option` for a prefix or schema that cannot work
 */
export function namesIn(place: Place = {}): Names {
  const { schema, prefix = defaultPrefix } = place
  // 32 leaves room for the longest index name within MySQL's 64 characters
  if (typeof prefix !== 'string' || !/^[a-z_][a-z0-9_]{0,31}$/.test(prefix)) {
    throw new OutboxError(
      'invalid-option',
      `The option prefix must be up to 32 lower-case letters, digits and underscores, such as 'outbox_'.`,
      { option: 'prefix' },
    )
  }
  // in ASCII, so that a statement means the same under every character set of a connection
  if (schema !== undefined && (typeof schema !== 'string' || !/^[\x20-\x7e]{0,63}[\x21-\x7e]$/.test(schema))) {
    throw new OutboxError(
      'invalid-option',
      `The option schema must be the name of a database, such as 'messaging', in up to 64 ASCII characters.`,
      { option: 'schema' },
    )
  }
  const table = (kind: TableKind | 'inbox'): string =>
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
  })
}

/** As `namesIn`, of a place that is all that `of` was given. @throws {OutboxError} `invalid-option` for another option, too */
export function namesFor(of: string, place: Place): Names {
  return namesIn(knownOptions(of, place, placeOptions))
}

/** An identifier in SQL; the same under every `sql_mode`. */
export function quoted(identifier: string): string {
  return `\`${identifier.replaceAll('`', '``')}\``
}
