import type { Headers, OutboxEntry } from './entry.ts'
import { OutboxError } from './errors.ts'
import { newEntry } from './new-entry.ts'

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
 * @throws {OutboxError} `invalid-event`, with the path of what is wrong
 */
export function entryFromEnvelope(envelope: EventEnvelope): OutboxEntry {
  const { eventId, eventType, sequence, ...rest } = envelope
  const entry = newEntry({ ...rest, type: eventType, id: eventId, sequence }, 0, {
    newId: () => missing('eventId'),
    now: () => missing('occurredAt'),
  })
  if (entry.sequence === undefined) return missing('sequence')
  return Object.freeze({ ...entry, sequence: entry.sequence, published: false, publishedAt: null })
}

function missing(path: string): never {
  throw new OutboxError('invalid-event', `The envelope has no ${path}: an event store's envelope carries it.`, {
    index: 0,
    path,
  })
}
