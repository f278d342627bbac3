import type { Context } from './context.ts'
import type { Database } from './database.ts'
import { isDuplicate } from './errors.ts'
import { numberIn, textIn } from './values.ts'

type Key = 'source' | 'version' | 'inbox-version'

/** Writes a value down, unless there is one. @returns the one that stands */
export async function setOnce(database: Database, key: Key, value: string | number): Promise<string | number> {
  const there = await metaValue(database, key)
  if (there !== undefined) return there
  try {
    await database.findOneAndUpdate('meta', { _id: key }, { $setOnInsert: { value } }, { upsert: true })
  } catch (error) {
    if (!isDuplicate(error)) throw error // of two at once, one may be told so: then it is there
  }
  return (await metaValue(database, key)) ?? value
}

export async function metaValue(database: Database, key: Key): Promise<string | number | undefined> {
  const [document] = await database.find('meta', { _id: key })
  if (!document) return undefined
  return typeof document['value'] === 'number' ? numberIn(document, 'value') : textIn(document, 'value')
}

/** The name of the outbox, which never changes: asked for once. */
export async function sourceOf({ database, source }: Context): Promise<string> {
  source.name ??= String(await metaValue(database, 'source'))
  return source.name
}
