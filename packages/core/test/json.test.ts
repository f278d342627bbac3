import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { entriesFrom } from '../src/adapter/index.ts'
import { maxJsonDepth } from '../src/json.ts'
import { entryOptions, refused } from './refused.ts'

const changed = (payload: unknown) => ({ type: 'order.changed', aggregateId: '1', payload })
const written = (payload: unknown): string | undefined => entriesFrom(changed(payload), entryOptions)[0]?.payload

function nested(depth: number): unknown {
  let value: unknown = 'core'
  for (let level = 0; level < depth; level++) value = [value]
  return value
}

const selfish: { self?: unknown } = {}
selfish.self = { deeper: [selfish] }

class Counter {
  readonly at: Date
  constructor(at: Date) {
    this.at = at
  }
}

class Money {
  readonly currency = 'EUR'
  get cents(): number {
    return 3
  }
}
class Price extends Money {}

test.each<[string, unknown, string, string]>([
  [
    'a getter of a class',
    { total: new Money() },
    'payload.total',
    "a getter ('cents') is lost in JSON: write a toJSON()",
  ],
  ['a getter of the class above', new Price(), 'payload', "a getter ('cents') is lost in JSON: write a toJSON()"],
  ['undefined at the top', undefined, 'payload', 'undefined is not JSON: {} or null will do'],
  ['undefined in an array', { a: [1, undefined] }, 'payload.a[1]', 'turns into null'],
  // biome-ignore lint/suspicious/noSparseArray: the hole is the case
  ['a hole in an array', [1, , 3], 'payload[1]', 'turns into null'],
  ['a BigInt', { total: 3n }, 'payload.total', 'JSON has no BigInt: pass a string'],
  ['NaN', { lines: [{}, { price: Number.NaN }] }, 'payload.lines[1].price', 'JSON has no NaN'],
  ['an infinity', { a: -Infinity }, 'payload.a', 'JSON has no -Infinity'],
  ['a function', { a: () => 1 }, 'payload.a', 'a function is lost in JSON'],
  ['a symbol', { a: Symbol('s3cret') }, 'payload.a', 'a symbol is lost in JSON'],
  ['a key that is a symbol', { a: { [Symbol('s3cret')]: 1 } }, 'payload.a', 'keyed by a symbol'],
  [
    'a property of an array',
    { a: Object.assign([1], { total: 1 }) },
    'payload.a.total',
    'a property of an array is lost',
  ],
  ['what match() gives', { a: 's3cret'.match(/s/) }, 'payload.a.index', 'a property of an array is lost'],
  ['a symbol on an array', { a: Object.assign([1], { [Symbol('s3cret')]: 1 }) }, 'payload.a', 'keyed by a symbol'],
  ['a promise', { user: Promise.resolve(1) }, 'payload.user', 'a promise: await it first'],
  // biome-ignore lint/suspicious/noThenProperty: a query builder that was not awaited
  ['a thenable', { user: { then: () => {} } }, 'payload.user', 'a promise: await it first'],
  ['a promise at the top', Promise.resolve({}), 'payload', 'a promise: await it first'],
  ['an invalid Date', { at: new Date(Number.NaN) }, 'payload.at', 'an invalid Date'],
  ['a cycle', selfish, 'payload.self.deeper[0]', 'a cycle'],
  ['a Map', { a: new Map([[1, 2]]) }, 'payload.a', 'JSON cannot hold a Map'],
  ['an empty Set', new Set(), 'payload', 'JSON cannot hold a Set'],
  ['a WeakMap', { a: new WeakMap() }, 'payload.a', 'JSON cannot hold a WeakMap'],
  ['a WeakSet', { a: new WeakSet() }, 'payload.a', 'JSON cannot hold a WeakSet'],
  ['a RegExp', { a: /s3cret/ }, 'payload.a', 'JSON cannot hold a RegExp'],
  ['an Error', { a: new TypeError('s3cret') }, 'payload.a', 'JSON cannot hold an Error'],
  ['bytes', { a: new Uint8Array([1]) }, 'payload.a', 'JSON cannot hold a Uint8Array'],
  ['a buffer', { a: new ArrayBuffer(8) }, 'payload.a', 'JSON cannot hold an ArrayBuffer'],
  ['a DataView', { a: new DataView(new ArrayBuffer(8)) }, 'payload.a', 'JSON cannot hold a DataView'],
  [
    'an Error with a property',
    { a: Object.assign(new Error(), { code: 1 }) },
    'payload.a',
    'JSON cannot hold an Error',
  ],
  ['a Map with a property', { a: Object.assign(new Map(), { code: 1 }) }, 'payload.a', 'JSON cannot hold a Map'],
  ['a Set with a property', { a: Object.assign(new Set(), { code: 1 }) }, 'payload.a', 'JSON cannot hold a Set'],
  ['boxed text', { a: Object('text') }, 'payload.a', 'JSON cannot hold a String'],
  ['a boxed NaN', { a: Object(Number.NaN) }, 'payload.a', 'JSON cannot hold a Number'],
  ['a boxed BigInt', { a: Object(1n) }, 'payload.a', 'JSON cannot hold a BigInt'],
  ['search parameters', { a: new URLSearchParams('a=s3cret') }, 'payload.a', 'JSON cannot hold a URLSearchParams'],
  ['a generator', { a: (function* () {})() }, 'payload.a', 'JSON cannot hold a Generator'],
  ['a Map of another realm', { a: runInNewContext('new Map([[1, 2]])') }, 'payload.a', 'JSON cannot hold a Map'],
  ['a toJSON() that gives undefined', { a: { toJSON: () => undefined } }, 'payload.a', 'its toJSON() gives undefined'],
  ['a toJSON() that gives a BigInt', { a: { toJSON: () => 1n } }, 'payload.a', 'JSON has no BigInt'],
  ['a toJSON() that gives a Map', { a: { toJSON: () => new Map() } }, 'payload.a', 'JSON cannot hold a Map'],
  ['a toJSON() that gives a Date', { a: { toJSON: () => new Date(0) } }, 'payload.a', 'JSON cannot hold a Date'],
  ['an asynchronous toJSON()', { a: { toJSON: async () => 1 } }, 'payload.a', 'JSON cannot hold a Promise'],
  ['a fault inside what toJSON() gives', { a: { toJSON: () => ({ b: [1n] }) } }, 'payload.a.b[0]', 'no BigInt'],
  [
    'what is nested too deep',
    nested(maxJsonDepth + 1),
    `payload${'[0]'.repeat(maxJsonDepth)}`,
    'nested deeper than 256',
  ],
  ['a key that is no plain name', { 'a b': { '0': [1n] } }, 'payload["a b"]["0"][0]', 'JSON has no BigInt'],
  ['a key named __proto__', { ['__proto__']: { b: 1n } }, 'payload.__proto__.b', 'JSON has no BigInt'],
])('%s is refused, with its path', (_, payload, path, message) => {
  const error = refused(changed(payload))
  expect(error.details.path).toBe(path)
  expect(error.message).toContain(message)
  expect(error.message).not.toContain('s3cret')
})

test.each<[string, unknown, string]>([
  ['null', null, 'null'],
  ['text', 'a"b', '"a\\"b"'],
  ['an empty object', {}, '{}'],
  ['an absent property', { a: undefined, b: 1 }, '{"b":1}'],
  ['a Date', { at: new Date(0) }, '{"at":"1970-01-01T00:00:00.000Z"}'],
  ['a URL', { at: new URL('https://example.org/a') }, '{"at":"https://example.org/a"}'],
  ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
  ['an array with an absent property', Object.assign([1], { total: undefined }), '[1]'],
  ['the text of a template', ((strings: TemplateStringsArray) => strings)`a`, '["a"]'],
  ['a Buffer, by its toJSON()', Buffer.from('a'), '{"type":"Buffer","data":[97]}'],
  ['an instance of a class', new Counter(new Date(0)), '{"at":"1970-01-01T00:00:00.000Z"}'],
  ['a property that cannot be enumerated', Object.defineProperty({ a: 1 }, 'b', { value: 1n }), '{"a":1}'],
  [
    'a symbol that cannot be enumerated, as proxies and ORMs set it',
    Object.defineProperty({ a: 1 }, Symbol('state'), { value: 1 }),
    '{"a":1}',
  ],
  [
    'keys named __proto__ and constructor',
    JSON.parse('{"__proto__":1,"constructor":2}'),
    '{"__proto__":1,"constructor":2}',
  ],
  ['the deepest that is taken', nested(maxJsonDepth), `${'['.repeat(maxJsonDepth)}"core"${']'.repeat(maxJsonDepth)}`],
  ['a lone surrogate', { a: '\ud800' }, '{"a":"\\ud800"}'],
  ['minus zero, as zero', [-0], '[0]'],
  ['a record with the fields of an error', { name: 'Ada', message: 'hello' }, '{"name":"Ada","message":"hello"}'],
])('%s is kept', (_, payload, text) => {
  expect(written(payload)).toBe(text)
})

test('an object that stands twice is no cycle', () => {
  const shared = { sku: 'a' }
  expect(written({ first: shared, lines: [shared, shared] })).toBe(
    '{"first":{"sku":"a"},"lines":[{"sku":"a"},{"sku":"a"}]}',
  )
})

test('toJSON speaks for its object, once, and is told its key as JSON.stringify tells it', () => {
  const keyed = { toJSON: (key: string) => `<${key}>` }
  expect(written({ a: keyed, list: [keyed] })).toBe('{"a":"<a>","list":["<0>"]}')
  expect(written(keyed)).toBe('"<>"')
  const told: string[] = []
  const listening = {
    toJSON(key: string): string {
      told.push(key)
      return 'x'
    },
  }
  written({ a: listening, list: [listening] })
  expect(told, 'first by the check, then by JSON.stringify').toEqual(['a', '0', 'a', '0'])
  const itself = {
    cents: 5,
    toJSON() {
      return this
    },
  }
  expect(() => written({ itself })).toThrow(
    expect.objectContaining({ details: { index: 0, path: 'payload.itself.toJSON' } }),
  )
  class Money {
    cents = 5
    toJSON(): unknown {
      return this
    }
  }
  expect(written({ price: new Money() })).toBe('{"price":{"cents":5}}')
})
