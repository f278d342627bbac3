import type { DueEntry } from '../entry.ts'
import { type ReceivedEntry, receivedEntry, undecodable, type WireField } from './fields.ts'

/**
 * CloudEvents 1.0 attributes of an entry, in the order they are written: `source` is `/aggregateType`, `subject` the
 * aggregate's id; extensions `sequence`, `partitionkey`, `epoch`, and the trace context where the headers have it.
 */
export function cloudEventAttributes(entry: DueEntry): readonly (readonly [string, string])[] {
  const attributes: (readonly [string, string])[] = [
    ['specversion', '1.0'],
    ['id', entry.id],
    ['source', `/${encodeURIComponent(entry.aggregateType)}`],
    ['type', entry.eventType],
    ['subject', entry.aggregateId],
    ['time', entry.occurredAt.toISOString()],
    ['datacontenttype', 'application/json'],
    ['sequence', String(entry.sequence)],
    ['partitionkey', `${entry.aggregateType}/${entry.aggregateId}`],
    ['epoch', String(entry.lease.epoch)],
  ]
  for (const name of ['traceparent', 'tracestate']) {
    const value = entry.headers[name]
    if (value !== undefined) attributes.push([name, value])
  }
  return attributes
}

/** The structured JSON form; the payload's text goes in as it is. The user's headers travel as JSON text in `outboxheaders`. */
export function structuredCloudEvent(entry: DueEntry): string {
  const attributes = cloudEventAttributes(entry)
    .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
    .join(',')
  return `{${attributes},"outboxheaders":${JSON.stringify(JSON.stringify(entry.headers))},"data":${entry.payload}}`
}

/** Reads an entry from CloudEvents attributes, of a message in binary mode. */
export function receivedFromCloudEvent<Payload = unknown>(message: {
  readonly attribute: (name: string) => string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly payloadText: string
}): ReceivedEntry<Payload> {
  const { attribute, headers, payloadText } = message
  if (attribute('specversion') !== '1.0') throw undecodable('specversion', 'is not 1.0: this is no CloudEvent that we know')
  const fields: Record<WireField, () => string | undefined> = {
    id: () => attribute('id'),
    'event-type': () => attribute('type'),
    'aggregate-type': () => {
      const source = attribute('source')
      return source === undefined ? undefined : decodeURIComponent(source.slice(1))
    },
    'aggregate-id': () => attribute('subject'),
    sequence: () => attribute('sequence'),
    epoch: () => attribute('epoch'),
    'occurred-at': () => attribute('time'),
  }
  return receivedEntry({ field: (name) => fields[name](), headers, payloadText })
}

/** Reads an entry from a structured CloudEvent. The payload's text is written anew from the parsed data. */
export function receivedFromStructuredCloudEvent<Payload = unknown>(text: string): ReceivedEntry<Payload> {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw undecodable('the message', 'is not JSON', cause)
  }
  if (typeof parsed !== 'object' || parsed === null) throw undecodable('the message', 'is no object')
  const event = parsed as Record<string, unknown>
  const attribute = (name: string): string | undefined => {
    const value = Object.hasOwn(event, name) ? event[name] : undefined
    return typeof value === 'string' ? value : undefined
  }
  const headers = JSON.parse(attribute('outboxheaders') ?? '{}') as Record<string, string>
  return receivedFromCloudEvent({ attribute, headers, payloadText: JSON.stringify(event['data'] ?? null) })
}
