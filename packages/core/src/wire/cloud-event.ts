import type { DueEntry, Headers } from '../entry.ts'
import {
  isRecord,
  isTextRecord,
  parseJson,
  type ReceivedEntry,
  receivedEntry,
  receivedEnvelope,
  undecodable,
  type WireField,
} from './fields.ts'

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

/**
 * Reads an entry from CloudEvents attributes, of a message in binary mode.
 *
 * @throws {OutboxError} `invalid-event` when an attribute is missing or makes no sense: the event is not from an outbox
 */
export function receivedFromCloudEvent<Payload = unknown>(message: {
  readonly attribute: (name: string) => string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly payloadText: string
}): ReceivedEntry<Payload> {
  const { attribute, headers, payloadText } = message
  checkVersion(attribute)
  return receivedEntry({ field: fieldsOf(attribute), headers, payloadText })
}

function fieldsOf(attribute: (name: string) => string | undefined): (name: WireField) => string | undefined {
  const fields: Record<WireField, () => string | undefined> = {
    id: () => attribute('id'),
    'event-type': () => attribute('type'),
    'aggregate-type': () => aggregateTypeOf(attribute('source')),
    'aggregate-id': () => attribute('subject'),
    sequence: () => attribute('sequence'),
    epoch: () => attribute('epoch'),
    'occurred-at': () => attribute('time'),
  }
  return (name) => fields[name]()
}

function checkVersion(attribute: (name: string) => string | undefined): void {
  if (attribute('specversion') === '1.0') return
  throw undecodable('specversion', 'is not 1.0: this is no CloudEvent that we know')
}

/** Undoes `/${encodeURIComponent(aggregateType)}`; any other source is somebody else's. */
function aggregateTypeOf(source: string | undefined): string | undefined {
  if (source === undefined) return undefined
  if (!/^\/[^/]+$/.test(source)) throw undecodable('source', 'is not /aggregateType')
  try {
    return decodeURIComponent(source.slice(1))
  } catch {
    throw undecodable('source', 'is not percent-encoded')
  }
}

/**
 * Reads an entry from a structured CloudEvent. `payload` is what parsing the text that was enqueued gives.
 *
 * `payloadText` is written anew from it, and may differ from that text: white space and the spelling of strings go, of
 * keys that stand twice the last stays, keys that are whole numbers come first, a number keeps the digits that a double
 * holds, -0 becomes 0, and one beyond a double's range (1e400) `null`.
 *
 * @throws {OutboxError} `invalid-event` when the text is no CloudEvent of an outbox
 */
export function receivedFromStructuredCloudEvent<Payload = unknown>(text: string): ReceivedEntry<Payload> {
  const event = parseJson('the message', text)
  if (!isRecord(event)) throw undecodable('the message', 'is no object')
  const attribute = (name: string): string | undefined => {
    const value = Object.hasOwn(event, name) ? event[name] : undefined
    return typeof value === 'string' ? value : undefined
  }
  checkVersion(attribute)
  if (!Object.hasOwn(event, 'data')) throw undecodable('data', 'is missing')
  const headers = headersFrom(attribute('outboxheaders') ?? '{}')
  const envelope = receivedEnvelope(fieldsOf(attribute))
  const payload = event['data']
  return { ...envelope, headers, payload: payload as Payload, payloadText: textOf(payload) }
}

function textOf(data: unknown): string {
  try {
    return JSON.stringify(data)
  } catch {
    throw undecodable('data', 'is nested too deeply') // parsing has no limit, writing has the stack's
  }
}

function headersFrom(text: string): Headers {
  const headers = parseJson('outboxheaders', text)
  if (!isTextRecord(headers)) throw undecodable('outboxheaders', 'is no object of strings')
  return headers
}
