import type { DueEntry, EntryContent } from '../entry.ts'
import { OutboxError } from '../errors.ts'
import { isUuid } from '../ids.ts'

/**
 * The envelope on the wire, the same for every broker: these fields, the user's headers, and the payload's bytes.
 * A Redis entry carries them under these names, a NATS message as headers `Outbox-Event-Type` and so on.
 */
export type WireField = 'id' | 'event-type' | 'aggregate-type' | 'aggregate-id' | 'sequence' | 'epoch' | 'occurred-at'

/** A message as a consumer reads it. */
export interface ReceivedEntry<Payload = unknown> extends Omit<EntryContent, 'payload'> {
  /** parsed; its type is the caller's word, not checked */
  readonly payload: Payload
  /** the payload's bytes as text, unchanged since `enqueue`; of a structured CloudEvent, its data written anew */
  readonly payloadText: string
  /**
   * Epoch of the lease it was published under. Within one outbox whose database was not restored, one that is lower
   * than the highest seen of its aggregate marks an echo: in another store, and in a restored one, epochs begin lower.
   */
  readonly epoch: number
}

/** The fields of an entry, in the order they are written. */
export function wireFields(entry: DueEntry): readonly (readonly [WireField, string])[] {
  return [
    ['id', entry.id],
    ['event-type', entry.eventType],
    ['aggregate-type', entry.aggregateType],
    ['aggregate-id', entry.aggregateId],
    ['sequence', String(entry.sequence)],
    ['epoch', String(entry.lease.epoch)],
    ['occurred-at', entry.occurredAt.toISOString()],
  ]
}

/**
 * Reads an entry back from its fields.
 *
 * @throws {OutboxError} `invalid-event` when a field is missing or makes no sense: the message is not from an outbox
 */
export function receivedEntry<Payload = unknown>(message: {
  readonly field: (name: WireField) => string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly payloadText: string
}): ReceivedEntry<Payload> {
  const envelope = receivedEnvelope(message.field)
  const { headers, payloadText } = message
  if (!isTextRecord(headers)) throw undecodable('headers', 'are no object of texts')
  return { ...envelope, headers, payload: parseJson('payload', payloadText) as Payload, payloadText }
}

/** What an entry's fields say, whatever `field` gives: a message may have been parsed from anything. @throws {OutboxError} `invalid-event` as `receivedEntry` does */
export function receivedEnvelope(
  field: (name: WireField) => string | undefined,
): Omit<ReceivedEntry, 'headers' | 'payload' | 'payloadText'> {
  const text = (name: WireField): string => {
    const value = field(name)
    if (!value) throw undecodable(name, 'is missing: the message was not written by an outbox publisher')
    if (typeof value !== 'string') throw undecodable(name, 'is no text')
    return value
  }
  const number = (name: WireField): number => {
    const value = text(name)
    if (!/^\d{1,16}$/.test(value) || !Number.isSafeInteger(Number(value))) throw undecodable(name, 'is no whole number')
    return Number(value)
  }
  const id = text('id')
  if (!isUuid(id)) throw undecodable('id', 'is no UUID')
  const time = text('occurred-at')
  const occurredAt = new Date(time)
  if (!/^\d{4}-\d\d-\d\dT.+(?:Z|[+-]\d\d:\d\d)$/.test(time) || Number.isNaN(occurredAt.getTime())) {
    throw undecodable('occurred-at', 'is no time as RFC 3339 writes it')
  }
  return {
    id: id.toLowerCase(), // an inbox compares bytes
    eventType: text('event-type'),
    aggregateType: text('aggregate-type'),
    aggregateId: text('aggregate-id'),
    sequence: number('sequence'),
    epoch: number('epoch'),
    occurredAt,
  }
}

/** The parser's own error is not kept as the cause: it quotes the payload. */
export function parseJson(path: string, text: string): unknown {
  if (typeof text !== 'string') throw undecodable(path, 'is no text')
  try {
    return JSON.parse(text)
  } catch {
    throw undecodable(path, 'is not JSON')
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isTextRecord(value: unknown): value is Record<string, string> {
  return isRecord(value) && Object.values(value).every((text) => typeof text === 'string')
}

export function undecodable(path: string, message: string): OutboxError<'invalid-event'> {
  return new OutboxError('invalid-event', `The message cannot be decoded: ${path} ${message}.`, { index: 0, path })
}
