import type { Context } from './context.ts'
import type { Database } from './database.ts'
import { isDuplicate } from './errors.ts'
import { type Document, numberIn, textIn } from './values.ts'

type Key = 'source' | 'version' | 'inbox-version'

/** Writes a value down, unless there is one. @returns the one that stands */
export async function setOnce(database: Database, key: Key, value: string | number): Promise<string | number> {
  const there = await metaValue(database, key)
  if (there !== undefined) return there
  const write = (): Promise<Document | undefined> =>
    database.findOneAndUpdate('meta', { _id: key }, { $setOnInsert: { value } }, { upsert: true })
  const standing = await write().catch((error: unknown) => {
    if (isDuplicate(error)) return write() // of two at once, one may be told so: then it is there
    throw error
  })
  // a majority may not have it yet: then the write tells. DocumentDB answers two at once with a value of each
  return (await metaValue(database, key)) ?? valueIn(standing ?? {})
}

export async function metaValue(database: Database, key: Key): Promise<string | number | undefined> {
  const [document] = await database.find('meta', { _id: key })
  return document && valueIn(document)
}

function valueIn(document: Document): string | number {
  return typeof document['value'] === 'number' ? numberIn(document, 'value') : textIn(document, 'value')
}

/** The name of the outbox, which never changes: asked for once. */
export async function sourceOf({ database, source }: Context): Promise<string> {
  source.name ??= String(await setOnce(database, 'source', crypto.randomUUID()))
  return source.name
}
