import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DueEntry } from '../src/index.ts'
import {
  cloudEventAttributes,
  receivedFromCloudEvent,
  receivedFromStructuredCloudEvent,
  structuredCloudEvent,
} from '../src/wire/index.ts'
import { dueEntry } from './due-entry.ts'
import { refusedBy } from './refused.ts'

const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const oddHeaders = JSON.parse('{"__proto__":"a","constructor":"b","x":"Größe \\"1\\" 😀"}') as Record<string, string>

const entry = dueEntry({
  aggregateType: 'bank account/ä',
  eventType: 'account.credited',
  aggregateId: 'Größe "1"\\ 😀',
  headers: { ...oddHeaders, traceparent: trace, tracestate: 'a=b' },
  payload: '{ "cents" : 5.0, "__proto__": { "a": 1 } }',
})

function received(given: DueEntry, payload: unknown, payloadText: string) {
  const { id, eventType, aggregateType, aggregateId, sequence, occurredAt, headers, lease } = given
  return {
    ...{ id, eventType, aggregateType, aggregateId, sequence, occurredAt, headers },
    epoch: lease.epoch,
    payload,
    payloadText,
  }
}

const readBinary = (attributes: Readonly<Record<string, string | undefined>>, payloadText = '{}') =>
  receivedFromCloudEvent({ attribute: (name) => attributes[name], headers: {}, payloadText })

const attributes: Readonly<Record<string, string>> = Object.fromEntries(cloudEventAttributes(dueEntry()))
const structured = (changes: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ ...JSON.parse(structuredCloudEvent(dueEntry())), ...changes })

test('an entry is a CloudEvent 1.0', () => {
  expect(cloudEventAttributes(entry)).toEqual([
    ['specversion', '1.0'],
    ['id', entry.id],
    ['source', '/bank%20account%2F%C3%A4'],
    ['type', 'account.credited'],
    ['subject', 'Größe "1"\\ 😀'],
    ['time', '2026-03-01T12:00:00.123Z'],
    ['datacontenttype', 'application/json'],
    ['sequence', '1'],
    ['partitionkey', 'bank account/ä/Größe "1"\\ 😀'],
    ['epoch', '5'],
    ['traceparent', trace],
    ['tracestate', 'a=b'],
  ])
  for (const [name] of cloudEventAttributes(entry)) expect(name).toMatch(/^[a-z0-9]{1,20}$/)
})

test('without a trace in the headers there is none among the attributes', () => {
  expect(attributes).not.toHaveProperty('traceparent')
  expect(attributes).not.toHaveProperty('tracestate')
})

test('a binary CloudEvent reads back as the entry that it was, its payload untouched', () => {
  const message = {
    attribute: (name: string) => new Map(cloudEventAttributes(entry)).get(name),
    headers: entry.headers,
    payloadText: entry.payload,
  }
  expect(receivedFromCloudEvent(message)).toStrictEqual(received(entry, JSON.parse(entry.payload), entry.payload))
})

test('a structured CloudEvent carries the payload’s text as it is, and reads back, headers and all', () => {
  const text = structuredCloudEvent(entry)
  expect(text).toContain(`"data":${entry.payload}}`)
  const data: unknown = JSON.parse(entry.payload)
  const back = receivedFromStructuredCloudEvent(text)
  expect(back).toStrictEqual(received(entry, data, '{"cents":5,"__proto__":{"a":1}}'))
  expect(Object.entries(back.headers).slice(0, 3)).toEqual(Object.entries(oddHeaders))
})

test('any entry survives the structured form', () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1 })
  fc.assert(
    fc.property(name, name, fc.dictionary(name, name), fc.json(), (aggregateType, aggregateId, headers, payload) => {
      const given = dueEntry({ aggregateType, aggregateId, eventType: 'a.b', headers, payload })
      const back = receivedFromStructuredCloudEvent(structuredCloudEvent(given))
      const data: unknown = JSON.parse(payload)
      expect(back).toEqual(received(given, data, JSON.stringify(data)))
    }),
  )
})

test('payloads null, false and 0 are payloads', () => {
  for (const payload of ['null', 'false', '0', '""']) {
    const back = receivedFromStructuredCloudEvent(structuredCloudEvent(dueEntry({ payload })))
    expect([back.payload, back.payloadText]).toEqual([JSON.parse(payload), payload])
  }
})

test.each([
  ['{"v":1e400}', '{"v":null}'],
  ['-0', '0'],
  ['12345678901234567890', '12345678901234567000'],
  ['{"b":1,"2":0,"a":2,"b":3}', '{"2":0,"b":3,"a":2}'],
  ['"\\u00e9"', '"é"'],
])('the payload of a structured CloudEvent is what parsing %s gives, its text %s', (payload, text) => {
  const back = receivedFromStructuredCloudEvent(structuredCloudEvent(dueEntry({ payload })))
  expect(back.payload).toStrictEqual(JSON.parse(payload))
  expect(back.payloadText).toBe(text)
})

test.each<[string, string | undefined, string]>([
  ['specversion', undefined, 'specversion'],
  ['specversion', '0.3', 'specversion'],
  ['id', 'A234-1234-1234', 'id'],
  ['source', undefined, 'aggregate-type'],
  ['source', 'https://example.org/orders', 'source'],
  ['source', '/orders/placed', 'source'],
  ['source', '/%ff', 'source'],
  ['subject', undefined, 'aggregate-id'],
  ['type', undefined, 'event-type'],
  ['sequence', 'first', 'sequence'],
  ['epoch', undefined, 'epoch'],
  ['time', 'yesterday', 'occurred-at'],
])('a CloudEvent of somebody else is refused: %s is %s', (name, value, path) => {
  expect(readBinary(attributes).id).toBe(attributes['id'])
  expect(refusedBy(() => readBinary({ ...attributes, [name]: value })).details.path).toBe(path)
  expect(refusedBy(() => receivedFromStructuredCloudEvent(structured({ [name]: value }))).details.path).toBe(path)
})

test.each<[string, string, string]>([
  ['no JSON', '{"card":"s3cret', 'the message is not JSON'],
  ['JSON, but no object', '"text"', 'the message is no object'],
  ['an array', '[]', 'the message is no object'],
  ['null', 'null', 'the message is no object'],
  ['an object of somebody else', '{"hello":"world"}', 'specversion is not 1.0'],
  ['a CloudEvent without data', structured({ data: undefined }), 'data is missing'],
  ['a CloudEvent with binary data', structured({ data: undefined, data_base64: 'AAAA' }), 'data is missing'],
  ['headers that are no JSON', structured({ outboxheaders: '{s3cret' }), 'outboxheaders is not JSON'],
  ['headers that are no object', structured({ outboxheaders: '["a"]' }), 'outboxheaders is no object of strings'],
  ['headers that are no text', structured({ outboxheaders: '{"a":1}' }), 'outboxheaders is no object of strings'],
  ['an attribute that is no text', structured({ sequence: 1 }), 'sequence is missing'],
])('a structured message that is %s is refused with a typed error', (_, text, message) => {
  const error = refusedBy(() => receivedFromStructuredCloudEvent(text))
  expect(error.message).toContain(`The message cannot be decoded: ${message}`)
  expect(`${error.message}${String(error.cause)}`).not.toContain('s3cret')
})

test('a structured CloudEvent without our headers has none', () => {
  expect(receivedFromStructuredCloudEvent(structured({ outboxheaders: undefined })).headers).toEqual({})
})
