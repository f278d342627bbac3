import { OutboxError } from '@outbox/core'

/** Where the collections of an outbox are, within a database. */
export interface Place {
  /** in front of every collection's name; default `outbox_` */
  readonly prefix?: string | undefined
}

/** Collections of an outbox, and of an inbox, by what they hold. */
export const outboxKinds = ['entries', 'sequences', 'relays', 'leases', 'meta'] as const
export type CollectionKind = (typeof outboxKinds)[number] | 'inbox'

/** The names of one outbox and of the inbox beside it. */
export type Names = Readonly<Record<CollectionKind, string>>

const defaultPrefix = 'outbox_'

/**
 * Checks a place and works out the names in it.
 *
 * @throws {OutboxError} `invalid-option` for a prefix that cannot work
 */
export function namesIn({ prefix = defaultPrefix }: Place = {}): Names {
  if (typeof prefix !== 'string' || !/^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/.test(prefix) || /^system\./.test(prefix)) {
    throw new OutboxError(
      'invalid-option',
      `The option prefix must be up to 64 letters, digits, dots, dashes and underscores, such as 'outbox_'.`,
      { option: 'prefix' },
    )
  }
  return Object.freeze({
    entries: `${prefix}entries`,
    sequences: `${prefix}sequences`,
    relays: `${prefix}relays`,
    leases: `${prefix}leases`,
    meta: `${prefix}meta`,
    inbox: `${prefix}inbox`,
  })
}

/** The call that makes the collections of a place, as people write it. */
export function callOf(name: 'setup' | 'setupInbox', { meta }: Names): string {
  const prefix = meta.slice(0, -'meta'.length)
  return prefix === defaultPrefix ? `${name}(db)` : `${name}(db, { prefix: '${prefix}' })`
}
