import type { MongoClient, MongoSession } from './driver.ts'
import { isDocument, unexpected } from './values.ts'

/** A UUID as the driver serialises it, BSON binary of subtype 4; opaque, because each copy of the driver has its own. */
export type Uuid = object

/** Makes the driver's own value of a UUID's text. */
export type ToUuid = (text: string) => Uuid

const uuidSubtype = 4

/**
 * Takes the driver's class of binaries from the id of a session, which is one. Importing it would be wrong for whoever
 * has another copy of the driver: bson refuses values of another major version.
 */
export function uuidsLike(session: Pick<MongoSession, 'id'>): ToUuid {
  const id = isDocument(session.id) ? session.id['id'] : undefined
  const binary = typeof id === 'object' && id !== null ? id.constructor : undefined
  if (typeof binary !== 'function' || !isBinary(id)) {
    throw new TypeError('The session has no id that is a binary: is it a session of the mongodb driver 6 or 7?')
  }
  return (text) => {
    const value: unknown = Reflect.construct(binary, [Buffer.from(text.replaceAll('-', ''), 'hex'), uuidSubtype])
    return isBinary(value) ? value : unexpected('a binary', value)
  }
}

/** The same from a client, by a session that is given back at once; nothing is sent. Found out at the first use. */
export function uuidsOf(client: MongoClient): () => ToUuid {
  let known: ToUuid | undefined
  return () => {
    if (known) return known
    const session = client.startSession()
    known = uuidsLike(session)
    // no transaction was open and nothing was sent, so there is nothing that could go wrong
    void session.endSession()
    return known
  }
}

/** The text of a UUID that the driver gave. */
export function uuidText(value: unknown): string {
  if (!isBinary(value)) return unexpected('a UUID', value)
  const hex = Buffer.from(value.buffer.subarray(0, 16)).toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

function isBinary(value: unknown): value is { readonly buffer: Uint8Array } {
  return typeof value === 'object' && value !== null && 'buffer' in value && value.buffer instanceof Uint8Array
}
