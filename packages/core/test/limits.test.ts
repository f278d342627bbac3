import { inspect } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { entriesFrom } from '../src/adapter/index.ts'
import { limits } from '../src/index.ts'
import { bytesBeyond } from '../src/limits.ts'
import { entryOptions, refused } from './refused.ts'

const event = { type: 'order.placed', aggregateId: 'o-1', payload: {} }
const bytes = (text: string): number => Buffer.byteLength(text, 'utf8')

/** Text of exactly that many bytes, four of them to a character where they fit. */
const astral = (length: number): string => '😀'.repeat(Math.floor(length / 4)) + 'a'.repeat(length % 4)

/** Headers that measure exactly that many bytes, names and values together. */
const headersOf = (length: number): Record<string, string> => ({ a: astral(8192), b: astral(length - 8194) })

test.each<[string, (length: number) => object, number, string]>([
  ['the event type', (length) => ({ type: `order.${astral(length - 6)}` }), limits.nameBytes, 'type'],
  ['the aggregate type', (length) => ({ aggregateType: astral(length) }), limits.nameBytes, 'aggregateType'],
  ['the aggregate id', (length) => ({ aggregateId: astral(length) }), limits.aggregateIdBytes, 'aggregateId'],
  ['the payload', (length) => ({ payload: astral(length - 2) }), limits.payloadBytes, 'payload'],
  ['the headers', (length) => ({ headers: headersOf(length) }), limits.headersBytes, 'headers'],
])('%s may fill its limit in bytes of UTF-8, and not one byte more', (_, fill, limit, path) => {
  expect(entriesFrom({ ...event, ...fill(limit) }, entryOptions)).toHaveLength(1)
  const error = refused([event, { ...event, ...fill(limit + 1) }])
  expect(error.details).toEqual({ index: 1, path, limit })
  expect(error.message).toContain(`Event 1, ${path}: `)
  expect(error.message).toContain(String(limit))
})

test('the limits are those that the documentation names', () => {
  expect(limits).toEqual({
    nameBytes: 255,
    aggregateIdBytes: 512,
    headerCount: 64,
    headerNameBytes: 128,
    headersBytes: 16_384,
    payloadBytes: 1_048_576,
    consumerBytes: 255,
    messageIdBytes: 255,
  })
  expect(Object.isFrozen(limits)).toBe(true)
})

test('the payload limit is the store’s to set, and the message says how large the payload is', () => {
  const options = { ...entryOptions, maxPayloadBytes: 10 }
  expect(entriesFrom({ ...event, payload: '12345678' }, options)).toHaveLength(1)
  const error = refused({ ...event, payload: '12345é78' }, options)
  expect(error.details).toEqual({ index: 0, path: 'payload', limit: 10 })
  expect(error.message).toBe('Event 0, payload: is 11 bytes of JSON; the limit is 10. Nothing was written.')
})

test('the number of headers has a limit', () => {
  const headers = (count: number): Record<string, string> =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`h${i}`, '']))
  expect(entriesFrom({ ...event, headers: headers(64) }, entryOptions)).toHaveLength(1)
  expect(refused({ ...event, headers: headers(65) }).details).toEqual({ index: 0, path: 'headers', limit: 64 })
})

test('the name of a header has a limit', () => {
  expect(entriesFrom({ ...event, headers: { ['n'.repeat(128)]: '' } }, entryOptions)).toHaveLength(1)
  const error = refused({ ...event, headers: { ['n'.repeat(129)]: '' } })
  expect(error.details.limit).toBe(128)
  expect(error.message).toContain('has a name of 129 bytes; the limit is 128')
  expect(error.message.length).toBeLessThan(300)
})

test.each<[string, unknown, string]>([
  ['an array', ['a'], 'is an Array, not a plain object'],
  ['a Map, whose entries would be lost', new Map([['a', 'b']]), 'is a Map, not a plain object'],
  ['fetch’s Headers', new Headers({ a: 'b' }), 'is a Headers, not a plain object'],
  ['null', null, 'is null, not an object'],
  ['text', 'a=b', 'is a string, not an object'],
])('headers given as %s are refused', (_, headers, message) => {
  const error = refused({ ...event, headers })
  expect(error.details.path).toBe('headers')
  expect(error.message).toContain(message.replace('not an object', 'not a plain object'))
})

test.each<[string, string, unknown, string]>([
  ['an empty name', '', 'x', 'is no header name'],
  ['a name with a space', 'a b', 'x', 'is no header name'],
  ['a name with a colon', 'a:b', 'x', 'is no header name'],
  ['a name that ends in a line feed', 'a\n', 'x', 'is no header name'],
  ['a name outside ASCII', 'é', 'x', 'is no header name'],
  ['a name of the outbox', 'Outbox-Sequence', 'x', 'which are reserved'],
  ['a name of CloudEvents', 'ce-id', 'x', 'which are reserved'],
  ['a name of NATS', 'Nats-Msg-Id', 'x', 'which are reserved'],
  ['a value that is a number', 'tenant', 42, 'is a number, not a string'],
  ['a value that is undefined', 'tenant', undefined, 'is missing, not a string'],
  ['a value with a line feed', 'tenant', 's3cret\r\nInjected: yes', 'contains a control character'],
  ['a value that is no Unicode', 'tenant', 's3cret\udfff', 'contains a lone surrogate'],
])('a header with %s is refused', (_, name, value, message) => {
  const error = refused({ ...event, headers: { [name]: value } })
  expect(error.details.path).toBe(`headers[${JSON.stringify(name)}]`)
  expect(error.message).toContain(message)
  expect(error.message).not.toContain('s3cret')
})

test('headers named like parts of an object are headers', () => {
  const headers = JSON.parse('{"__proto__":"a","constructor":"b","toString":"c"}') as Record<string, string>
  const [entry] = entriesFrom({ ...event, headers }, entryOptions)
  expect(Object.entries(entry?.headers ?? {})).toEqual([
    ['__proto__', 'a'],
    ['constructor', 'b'],
    ['toString', 'c'],
  ])
})

test.each(['type', 'aggregateType', 'aggregateId'])(
  'a control character or lone surrogate in %s is refused',
  (name) => {
    for (const character of ['\u0000', '\t', '\n', '\u001f', '\u007f', '\u0085', '\u009f']) {
      const error = refused({ ...event, [name]: `a.b${character}` })
      expect(error.details.path).toBe(name)
      expect(error.message).toContain('control character')
    }
    expect(refused({ ...event, [name]: 'a.b\ud83d' }).message).toContain('lone surrogate')
    expect(entriesFrom({ ...event, [name]: 'a.b😀ÿ' }, entryOptions)).toHaveLength(1)
  },
)

test('no error says what the payload holds', () => {
  const text = 's3cret'.repeat(40)
  const wrong = [
    { ...event, payload: { card: text, n: 1n } },
    { ...event, payload: { card: text, when: new Date(Number.NaN) } },
    { ...event, payload: { card: [text, new Map([[text, text]])] } },
    { ...event, payload: { card: text.repeat(5000) } },
    { ...event, payload: { card: text }, aggregateId: '' },
  ]
  for (const given of wrong) expect(inspect(refused(given), { depth: 9 })).not.toContain('s3cret')
  const entry = { ...event, eventType: 'a.b', aggregateType: 'a', sequence: 1, payload: `{"card":"${text}` }
  expect(inspect(refused(entry), { depth: 9 })).not.toContain('s3cret')
})

test('bytes are counted as UTF-8 counts them, for any text and any limit', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', size: 'medium' }), fc.integer({ min: -5, max: 5 }), (text, offset) => {
      const limit = Math.max(0, bytes(text) + offset)
      expect(bytesBeyond(text, limit)).toBe(bytes(text) > limit ? bytes(text) : undefined)
    }),
    { numRuns: 2000 },
  )
})
