import { OutboxError } from '@outbox/core'
import {
  type ReceivedEntry,
  receivedEntry,
  receivedFromCloudEvent,
  receivedFromStructuredCloudEvent,
} from '@outbox/core/wire'
import { cloudEventPrefix, headerPrefix, payloadFields, structuredField } from './message.ts'

/**
 * Reads an entry back from one item of a stream, in whichever format it was written.
 *
 * Takes the `[id, fields]` that XREAD, XREADGROUP, XRANGE and XAUTOCLAIM answer with, in strings or Buffers, of
 * ioredis 5 or 6. `payload` has the type that the caller names: only that it is JSON is checked.
 *
 * @throws {OutboxError} `invalid-event`: this is no such item, its fields are gone (deleted or trimmed after it was
 *   delivered), or no outbox publisher wrote it
 *
 * @example
 * ```ts
 * for (const item of await redis.xrange('orders', '-', '+')) {
 *   const { eventType, payload } = decodeRedisEntry<Order>(item)
 * }
 * ```
 */
export function decodeRedisEntry<Payload = unknown>(item: unknown): ReceivedEntry<Payload> {
  const fields = fieldsOf(item)
  const structured = fields.get(structuredField)
  if (structured !== undefined) return receivedFromStructuredCloudEvent<Payload>(structured)

  const headers = Object.fromEntries(
    [...fields].flatMap(([name, value]) =>
      name.startsWith(headerPrefix) ? [[name.slice(headerPrefix.length), value]] : [],
    ),
  )
  const isCloudEvent = fields.has(`${cloudEventPrefix}specversion`)
  const payloadField = payloadFields[isCloudEvent ? 'cloudevents' : 'fields']
  const payloadText = fields.get(payloadField)
  if (payloadText === undefined) throw undecodable(payloadField, 'is missing: no outbox publisher wrote this item')
  return isCloudEvent
    ? receivedFromCloudEvent<Payload>({
        attribute: (name) => fields.get(cloudEventPrefix + name),
        headers,
        payloadText,
      })
    : receivedEntry<Payload>({ field: (name) => fields.get(name), headers, payloadText })
}

function fieldsOf(item: unknown): Map<string, string> {
  const [id, flat]: readonly unknown[] = Array.isArray(item) ? item : []
  if (text(id) === undefined) throw undecodable('the item', 'is no [id, fields] of a stream')
  if (flat === null) throw undecodable('the item', 'has no fields any more: it was deleted or trimmed after delivery')
  if (!Array.isArray(flat)) throw undecodable('the item', 'is no [id, fields] of a stream')
  const fields = new Map<string, string>()
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = text(flat[i])
    const value = text(flat[i + 1])
    if (name === undefined || value === undefined) throw undecodable('the item', 'has a field that is no text')
    fields.set(name, value)
  }
  return fields
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function text(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (!Buffer.isBuffer(value)) return undefined
  try {
    return decoder.decode(value)
  } catch {
    return undefined // not UTF-8
  }
}

function undecodable(path: string, problem: string): OutboxError<'invalid-event'> {
  return new OutboxError('invalid-event', `The stream item cannot be decoded: ${path} ${problem}.`, { index: 0, path })
}
