import { knownOptions } from '@outbox/core/adapter'
import { collectionsOf, databaseOf, optionsOf } from './database.ts'
import type { MongoDatabase } from './driver.ts'
import { codeOf, translated } from './errors.ts'
import { inboxVersion, indexes, layoutVersion } from './layout.ts'
import { setOnce } from './meta.ts'
import { type CollectionKind, type Names, namesIn, outboxKinds, type Place } from './names.ts'
import { checkDatabase } from './options.ts'
import { reconnectAfter } from './reconnect.ts'

/**
 * Makes the collections and indexes of an outbox that are missing; safe to call again, and from several processes at
 * once. On a large collection building an index takes its time.
 *
 * Needs `createCollection` and `createIndex`; a relay or a producer needs less.
 *
 * @throws {OutboxError} `setup-required` when the privileges do not suffice, or another index has the name of one ·
 *   `invalid-option` · `unavailable`, `busy`
 */
export async function setup(db: MongoDatabase, place: Place = {}): Promise<void> {
  const names = namesIn(knownOptions('setup', place, { prefix: true }))
  await make(db, names, outboxKinds)
  await setOnce(databaseOf(db, names), 'version', layoutVersion)
}

/**
 * The same for an inbox, beside an outbox or without one.
 *
 * @throws {OutboxError} `setup-required` when the privileges do not suffice, or another index has the name of one ·
 *   `invalid-option` · `unavailable`, `busy`
 */
export async function setupInbox(db: MongoDatabase, place: Place = {}): Promise<void> {
  const names = namesIn(knownOptions('setupInbox', place, { prefix: true }))
  await make(db, names, ['inbox', 'meta'])
  await setOnce(databaseOf(db, names), 'inbox-version', inboxVersion)
}

async function make(db: MongoDatabase, names: Names, kinds: readonly CollectionKind[]): Promise<void> {
  checkDatabase(db)
  const collections = collectionsOf(db, names)
  for (const kind of kinds) {
    try {
      await create(db, names[kind])
      if (indexes[kind].length > 0) await collections(kind).createIndexes([...indexes[kind]] as never)
    } catch (error) {
      throw translated(reconnectAfter(error, db))
    }
  }
}

const namespaceExists = 48

async function create(db: MongoDatabase, name: string): Promise<void> {
  try {
    await db.createCollection(name, optionsOf(db) as never)
  } catch (error) {
    if (codeOf(error) !== namespaceExists) throw error
  }
}
