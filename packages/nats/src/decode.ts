import { type Headers, OutboxError } from '@outbox/core'
import {
  decodeHeaderValue,
  type ReceivedEntry,
  receivedEntry,
  receivedFromCloudEvent,
  receivedFromStructuredCloudEvent,
} from '@outbox/core/wire'
import type { NatsMessageLike } from './connection.ts'
import * as headerNames from './header-names.ts'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const reserved = /^(?:outbox-|ce-|nats-)/i

/**
 * Reads an entry back from a message of either client, whatever the format it was written in.
 *
 * Headers come back as they were enqueued, the payload parsed and as text. `Payload` is the caller's word.
 *
 * @throws {OutboxError} `invalid-event` when the message was not written by an outbox publisher
 *
 * @example
 * ```ts
 * for await (const message of await consumer.consume()) {
 *   const entry = decodeNatsMessage<OrderPlaced>(message)
 *   await inbox.once(tx, 'billing', entry.id, () => bill(entry.payload))
 *   message.ack()
 * }
 * ```
 */
export function decodeNatsMessage<Payload = unknown>(
  message: Pick<NatsMessageLike, 'data' | 'headers'>,
): ReceivedEntry<Payload> {
  const headers = headersOf(message)
  const values = new Map(headers.map(([name, value]) => [name.toLowerCase(), value]))
  const read = (name: string): string | undefined => values.get(name.toLowerCase())
  const payloadText = textOf(message.data)
  if (read(headerNames.ofField('id')) !== undefined) {
    const field = (name: Parameters<typeof headerNames.ofField>[0]) => read(headerNames.ofField(name))
    return receivedEntry({ field, headers: ownHeaders(headers), payloadText })
  }
  if (read('ce-specversion') !== undefined) {
    return receivedFromCloudEvent({
      attribute: (name) => read(`ce-${name}`),
      headers: ownHeaders(headers),
      payloadText,
    })
  }
  if (read(headerNames.contentType)?.startsWith('application/cloudevents')) {
    return receivedFromStructuredCloudEvent(payloadText)
  }
  throw undecodable('it has neither Outbox-Id nor ce-specversion, and is no structured CloudEvent')
}

/** The clients parse headers when they are asked for, and throw at what is none. */
function headersOf(message: Pick<NatsMessageLike, 'headers'>): readonly (readonly [string, string])[] {
  try {
    const { headers } = message
    return headers?.keys().map((name) => [name, decodeHeaderValue(headers.get(name))] as const) ?? []
  } catch (cause) {
    throw undecodable('its headers are none', cause)
  }
}

/** The headers that the producer gave: all that no protocol has reserved. */
function ownHeaders(headers: readonly (readonly [string, string])[]): Headers {
  return Object.fromEntries(headers.filter(([name]) => !reserved.test(name)))
}

function textOf(data: Uint8Array): string {
  try {
    return decoder.decode(data)
  } catch (cause) {
    throw undecodable('its data is not UTF-8', cause)
  }
}

function undecodable(reason: string, cause?: unknown): OutboxError<'invalid-event'> {
  return new OutboxError(
    'invalid-event',
    `The message cannot be decoded: ${reason}.`,
    { index: 0, path: '' },
    cause === undefined ? undefined : { cause },
  )
}
