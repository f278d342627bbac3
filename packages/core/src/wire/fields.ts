import type { DueEntry, EntryContent } from '../entry.ts'
import { OutboxError } from '../errors.ts'
import { isUuid } from '../ids.ts'

/**
 * The envelope on the wire, the same for every broker: these fields, the user's headers, and the payload's bytes.
 * A Redis entry carries them under these names, a NATS message as headers `Outbox-Event-Type` and so on.
 */
export type WireField =
  | 'id'
  | 'event-type'
  | 'aggregate-type'
  | 'aggregate-id'
  | 'sequence'
  | 'epoch'
  | 'occurred-at'

/** A message as a consumer reads it. */
export interface ReceivedEntry<Payload = unknown> extends Omit<EntryContent, 'payload'> {
  /** parsed; its type is the caller's word, not checked */
  readonly payload: Payload
  /** the payload's bytes as text, unchanged since `enqueue` */
  readonly payloadText: string
  /** epoch of the lease it was published under: lower than the highest seen of its aggregate means a late echo */
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
  const text = (name: WireField): string => {
    const value = message.field(name)
    if (value === undefined) throw undecodable(name, 'is missing: the message was not written by an outbox publisher')
    return value
  }
  const number = (name: WireField): number => {
    const value = Number(text(name))
    if (!Number.isSafeInteger(value)) throw undecodable(name, 'is no whole number')
    return value
  }
  const id = text('id')
  if (!isUuid(id)) throw undecodable('id', 'is no UUID')
  const occurredAt = new Date(text('occurred-at'))
  if (Number.isNaN(occurredAt.getTime())) throw undecodable('occurred-at', 'is no date')
  return {
    id,
    eventType: text('event-type'),
    aggregateType: text('aggregate-type'),
    aggregateId: text('aggregate-id'),
    sequence: number('sequence'),
    epoch: number('epoch'),
    occurredAt,
    headers: message.headers,
    payload: parsePayload(message.payloadText) as Payload,
    payloadText: message.payloadText,
  }
}

function parsePayload(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw undecodable('payload', 'is not JSON', cause)
  }
}

export function undecodable(path: string, message: string, cause?: unknown): OutboxError<'invalid-event'> {
  return new OutboxError(
    'invalid-event',
    `The message cannot be decoded: ${path} ${message}.`,
    { index: 0, path },
    cause === undefined ? undefined : { cause },
  )
}
