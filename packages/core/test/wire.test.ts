import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeHeaderValue, encodeHeaderValue, receivedEntry, type WireField, wireFields } from '../src/wire/index.ts'
import { dueEntry } from './due-entry.ts'
import { refusedBy } from './refused.ts'

type Fields = Readonly<Partial<Record<WireField, string>>>

const entry = dueEntry({ sequence: Number.MAX_SAFE_INTEGER, aggregateId: 'Größe 1/2 😀', headers: { tenant: 'acme' } })
const fields: Fields = Object.fromEntries(wireFields(entry))

const read = (given: Fields, payloadText = '{}', headers: Readonly<Record<string, string>> = {}) =>
  receivedEntry({ field: (name) => given[name], headers, payloadText })

test('the fields of an entry are written in one order, under the names that every broker’s messages use', () => {
  expect(wireFields(entry)).toEqual([
    ['id', entry.id],
    ['event-type', 'order.placed'],
    ['aggregate-type', 'order'],
    ['aggregate-id', 'Größe 1/2 😀'],
    ['sequence', '9007199254740991'],
    ['epoch', '5'],
    ['occurred-at', '2026-03-01T12:00:00.123Z'],
  ])
})

test('an entry reads back as it was written, its payload parsed and as text', () => {
  const text = '{ "totalCents" : 4200.0 }'
  expect(read(fields, text, entry.headers)).toStrictEqual({
    id: entry.id,
    eventType: entry.eventType,
    aggregateType: entry.aggregateType,
    aggregateId: entry.aggregateId,
    sequence: entry.sequence,
    epoch: 5,
    occurredAt: entry.occurredAt,
    headers: { tenant: 'acme' },
    payload: { totalCents: 4200 },
    payloadText: text,
  })
})

test.each(Object.keys(fields))('a message without %s, or with an empty one, is refused', (name) => {
  for (const value of [undefined, '']) {
    const { [name as WireField]: _, ...rest } = fields
    const error = refusedBy(() => read(value === undefined ? rest : { ...rest, [name]: value }))
    expect(error.details.path).toBe(name)
    expect(error.message).toBe(
      `The message cannot be decoded: ${name} is missing: the message was not written by an outbox publisher.`,
    )
  }
})

test.each<[WireField, string]>([
  ['id', '42'],
  ['sequence', ' 1'],
  ['sequence', '0x10'],
  ['sequence', '1e3'],
  ['sequence', '-1'],
  ['sequence', '1.5'],
  ['sequence', '9007199254740992'],
  ['epoch', 'five'],
  ['occurred-at', '1'],
  ['occurred-at', 'Sun, 01 Mar 2026 12:00:00 GMT'],
  ['occurred-at', '2026-13-01T12:00:00Z'],
  ['occurred-at', '2026-03-01T12:00:00'],
  ['occurred-at', '2026-03-01T'],
])('a message of somebody else, with %s: %s, is refused', (name, value) => {
  expect(refusedBy(() => read({ ...fields, [name]: value })).details.path).toBe(name)
})

test('an id in capitals is read in small letters, as an inbox compares it', () => {
  expect(read({ ...fields, id: entry.id.toUpperCase() }).id).toBe(entry.id)
})

test('a time with an offset is the same moment', () => {
  expect(read({ ...fields, 'occurred-at': '2026-03-01T13:30:00.123+01:30' }).occurredAt).toEqual(entry.occurredAt)
})

test.each(Object.keys(fields))('a message whose %s is no text, though its type says so, is refused', (name) => {
  for (const value of [42, {}, [entry.id], true]) {
    expect(refusedBy(() => read({ ...fields, [name]: value } as Fields)).details.path).toBe(name)
  }
})

test('so is one whose headers are no record of text, or whose payload is none', () => {
  for (const headers of [null, 'a', ['a'], { tenant: 1 }, { tenant: null }]) {
    expect(refusedBy(() => read(fields, '{}', headers as never)).details.path).toBe('headers')
  }
  for (const payload of [null, 42, {}]) {
    expect(refusedBy(() => read(fields, payload as never)).details.path).toBe('payload')
  }
})

test('a payload that is no JSON is refused, and not quoted', () => {
  const error = refusedBy(() => read(fields, '{"card":"s3cret'))
  expect(error.details.path).toBe('payload')
  expect(error.message).toBe('The message cannot be decoded: payload is not JSON.')
  expect(error.cause).toBeUndefined()
})

test('any Unicode text survives a header, which then holds printable ASCII only', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const value = encodeHeaderValue(text)
      expect(value).toMatch(/^[\x21-\x7e]*$/)
      expect(value).not.toMatch(/"/)
      expect(decodeHeaderValue(value)).toBe(text)
    }),
    { numRuns: 2000 },
  )
})

test.each([
  ['plain-text_1.2~', 'plain-text_1.2~'],
  ['Euro € 😀', 'Euro%20%E2%82%AC%20%F0%9F%98%80'],
  ['100% "sure"', '100%25%20%22sure%22'],
  ['%41', '%2541'],
  ['a+b&c=d;e,f', 'a+b&c=d;e,f'],
  ['', ''],
])('%j is encoded as CloudEvents encode it: %j', (text, value) => {
  expect(encodeHeaderValue(text)).toBe(value)
})

test('a value that somebody wrote without encoding is read as it is', () => {
  for (const value of ['100%', '%zz', '%ff', 'plain']) expect(decodeHeaderValue(value)).toBe(value)
})
