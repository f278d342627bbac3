import { type DueEntry, permanent } from '@outbox/core'
import { cloudEventAttributes, encodeHeaderValue, structuredCloudEvent, wireFields } from '@outbox/core/wire'
import * as headerNames from './header-names.ts'
import { MessageHeaders } from './message-headers.ts'

/**
 * How an entry is written: `headers` as `Outbox-…` headers, `cloudevents` in the binary mode of CloudEvents (`ce-…`
 * headers), both with the payload's bytes unchanged; `cloudevents-structured` as one JSON document.
 */
export type NatsFormat = 'headers' | 'cloudevents' | 'cloudevents-structured'

export interface OutgoingMessage {
  readonly subject: string
  readonly headers: MessageHeaders
  /** what the stream deduplicates on */
  readonly messageId: string
  readonly data: Uint8Array
  /** headers and data, as `max_payload` counts them */
  readonly bytes: number
}

/** Writes an entry as a message. Sequence and epoch are headers in every format, so that a late echo can be told. */
export function messageOf(
  entry: DueEntry,
  subject: string,
  options: {
    readonly format: NatsFormat
    readonly expectedStream: string | undefined
    readonly messageIdSuffix?: string | undefined
    readonly batchHeaders?: ReadonlyMap<string, string>
  },
): OutgoingMessage {
  const headers = new MessageHeaders()
  const { deduplicationId } = entry
  const { messageIdSuffix: suffix } = options
  const messageId = suffix === undefined ? deduplicationId : `${deduplicationId}:${suffix}`
  headers.set(headerNames.messageId, encodeHeaderValue(messageId))
  if (options.expectedStream !== undefined) headers.set(headerNames.expectedStream, options.expectedStream)
  for (const [name, value] of options.batchHeaders ?? []) headers.set(name, value)
  headers.set(headerNames.sequence, String(entry.sequence))
  headers.set(headerNames.epoch, String(entry.lease.epoch))
  const data = Buffer.from(writers[options.format](entry, headers))
  return { subject, headers, messageId, data, bytes: headers.encode().length + data.length }
}

/** Each sets the headers of its format and gives the text of the body. */
const writers: Readonly<Record<NatsFormat, (entry: DueEntry, headers: MessageHeaders) => string>> = Object.freeze({
  headers(entry: DueEntry, headers: MessageHeaders) {
    for (const [field, value] of wireFields(entry)) headers.set(headerNames.ofField(field), encodeHeaderValue(value))
    writeHeaders(entry, headers)
    return entry.payload
  },
  cloudevents(entry: DueEntry, headers: MessageHeaders) {
    for (const [name, value] of cloudEventAttributes(entry)) headers.set(`ce-${name}`, encodeHeaderValue(value))
    writeHeaders(entry, headers)
    return entry.payload
  },
  'cloudevents-structured'(entry: DueEntry, headers: MessageHeaders) {
    headers.set(headerNames.contentType, headerNames.structuredContentType)
    return structuredCloudEvent(entry)
  },
})

/** An HTTP token that no protocol has reserved. */
const headerName = /^(?!outbox-|ce-|nats-)[!#$%&'*+\-.^_`|~0-9a-z]+$/i

/** `enqueue` lets no other name in. But rows can be written past it, and such a name could end the header, or empty the stream. */
function writeHeaders(entry: DueEntry, headers: MessageHeaders): void {
  for (const [name, value] of Object.entries(entry.headers)) {
    if (!headerName.test(name))
      throw permanent(`No message may carry the header ${JSON.stringify(name.slice(0, 128))}.`)
    headers.set(name, encodeHeaderValue(value))
  }
}
