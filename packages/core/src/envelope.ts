import type { Headers, OutboxEntry } from './entry.ts'
import type { OutboxError } from './errors.ts'
import { entryFromEvent, refusal } from './new-entry.ts'

/** An event as an event store recorded it: it has its id, its version and its time already. */
export interface EventEnvelope<Payload = unknown> {
  /** UUID */
  readonly eventId: string
  /** dotted, `account.credited` */
  readonly eventType: string
  readonly aggregateType: string
  readonly aggregateId: string
  /** the aggregate's version that this event made */
  readonly sequence: number | bigint
  readonly occurredAt: Date
  readonly payload: Payload
  readonly headers?: Headers
}

/**
 * Turns a recorded event into an entry, unpublished, ready for `enqueue`.
 *
 * Nothing is filled in: an envelope without its id, version or time is refused.
 *
 * @throws {OutboxError} `invalid-event`, with the path of what is wrong
 */
export function entryFromEnvelope(envelope: EventEnvelope): OutboxEntry {
  const { eventId, eventType, aggregateType, aggregateId, sequence, occurredAt, payload, headers } = envelope
  for (const [name, value] of Object.entries({ eventId, aggregateType, sequence, occurredAt })) {
    if (value === undefined || value === null) throw refuse(name, "is missing: an event store's envelope carries it")
  }
  const event = { type: eventType, id: eventId, aggregateType, aggregateId, sequence, occurredAt, payload }
  const entry = entryFromEvent(
    headers === undefined ? event : { ...event, headers },
    // how large a payload may be, the store says at `enqueue`
    { newId: () => eventId, now: () => occurredAt.getTime(), maxPayloadBytes: Infinity },
    refuse,
  )
  return Object.freeze({ ...entry, sequence: Number(sequence), published: false, publishedAt: null })
}

/** Names what is wrong as the envelope does. */
function refuse(
  path: string,
  ...rest: [message: string, limit?: number, cause?: unknown]
): OutboxError<'invalid-event'> {
  const names: Readonly<Record<string, string>> = { id: 'eventId', type: 'eventType' }
  return refusal(0, names[path] ?? path, ...rest)
}
