import { OutboxError } from '@outbox/core'
import { receivedFromStructuredCloudEvent } from '@outbox/core/wire'
import { decodeNatsMessage } from '@outbox/nats'
import { decodeRedisEntry } from '@outbox/redis'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { canary, hostileTexts } from '../src/hostile.ts'

const untouched = Object.getOwnPropertyNames(Object.prototype)
afterEach(() => expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(untouched))

/** Runs a decoder: it gives an entry of plain objects, or throws the one error that consumers are told to expect. */
function decodes(decode: () => object): boolean {
  try {
    const entry = decode()
    expect(Object.getPrototypeOf(entry)).toBe(Object.prototype)
    expect(Object.getPrototypeOf(Reflect.get(entry, 'headers'))).toBe(Object.prototype)
    return true
  } catch (error) {
    if (!OutboxError.is(error, 'invalid-event')) throw error
    return false
  }
}

const good: Readonly<Record<string, string>> = {
  id: '0198c5f2-8c3e-7a01-9d1e-0242ac120002',
  'event-type': 'order.placed',
  'aggregate-type': 'order',
  'aggregate-id': '1',
  sequence: '1',
  epoch: '1',
  'occurred-at': '2026-01-01T00:00:00.000Z',
  payload: '{}',
}
const goodEvent: Readonly<Record<string, string>> = {
  specversion: '1.0',
  id: good['id'] ?? '',
  source: '/order',
  type: 'order.placed',
  subject: '1',
  time: '2026-01-01T00:00:00.000Z',
  sequence: '1',
  epoch: '1',
  data: '{}',
}

const anyText = fc.oneof(
  fc.constantFrom(...hostileTexts, '', '-1', '1e3', '0x10', '99999999999999999', '9007199254740993', '{"__proto__":1}'),
  fc.string({ unit: 'binary', maxLength: 40 }),
)
/** A good message with some of its parts replaced, and others added. */
const spoiled = (whole: Readonly<Record<string, string>>) =>
  fc
    .tuple(
      fc.dictionary(fc.constantFrom(...Object.keys(whole)), anyText),
      fc.dictionary(fc.oneof(anyText, fc.constantFrom('__proto__', 'constructor', 'header:__proto__')), anyText),
      fc.subarray(Object.keys(whole)),
    )
    .map(([replaced, added, dropped]) =>
      Object.entries({ ...whole, ...replaced, ...added }).filter(([name]) => !dropped.includes(name)),
    )

const natsMessage = (headers: readonly (readonly [string, string])[], data: Uint8Array) => {
  const values = new Map(headers)
  return {
    data,
    headers: { code: 0, keys: () => [...values.keys()], get: (name: string) => values.get(name) ?? '' },
  }
}
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const natsName = (name: string): string => (name === 'payload' ? 'x' : `Outbox-${name}`)

describe('a message that somebody else wrote', () => {
  it('is decoded when it is whole, so that what follows has something to spoil', () => {
    expect(decodes(() => decodeRedisEntry(['1-0', Object.entries(good).flat()]))).toBe(true)
    expect(
      decodes(() =>
        decodeNatsMessage(
          natsMessage(
            Object.entries(good).map(([n, v]) => [natsName(n), v]),
            bytes('{}'),
          ),
        ),
      ),
    ).toBe(true)
    expect(decodes(() => receivedFromStructuredCloudEvent(JSON.stringify(goodEvent)))).toBe(true)
  })

  it('into Redis, is an entry or a typed error', () => {
    fc.assert(fc.property(spoiled(good), (fields) => void decodes(() => decodeRedisEntry(['1-0', fields.flat()]))))
    fc.assert(
      fc.property(spoiled(goodEvent), (fields) => {
        const named = fields.map(([name, value]) => [name === 'data' ? 'data' : `ce_${name}`, value])
        decodes(() => decodeRedisEntry(['1-0', named.flat()]))
      }),
    )
    fc.assert(fc.property(fc.anything(), (item) => void decodes(() => decodeRedisEntry(item))))
    fc.assert(fc.property(fc.array(fc.anything()), (fields) => void decodes(() => decodeRedisEntry(['1-0', fields]))))
  })

  it('into NATS, is an entry or a typed error', () => {
    fc.assert(
      fc.property(spoiled(good), fc.uint8Array(), fc.boolean(), (fields, noise, isNoisy) => {
        const headers = fields.map(([name, value]) => [natsName(name), value] as const)
        decodes(() => decodeNatsMessage(natsMessage(headers, isNoisy ? noise : bytes('{"__proto__":{"x":1}}'))))
      }),
    )
    fc.assert(
      fc.property(spoiled(goodEvent), (fields) => {
        const headers = fields.map(([name, value]) => [`ce-${name}`, value] as const)
        decodes(() => decodeNatsMessage(natsMessage(headers, bytes('{}'))))
      }),
    )
    decodes(() => decodeNatsMessage({ data: new Uint8Array() }))
  })

  it('as a structured CloudEvent, is an entry or a typed error', () => {
    const decode = (text: string) => {
      decodes(() => receivedFromStructuredCloudEvent(text))
      decodes(() => decodeRedisEntry(['1-0', ['cloudevent', text]]))
      decodes(() => decodeNatsMessage(natsMessage([['content-type', 'application/cloudevents+json']], bytes(text))))
    }
    fc.assert(fc.property(spoiled(goodEvent), (fields) => decode(JSON.stringify(Object.fromEntries(fields)))))
    fc.assert(fc.property(fc.json(), decode))
    fc.assert(fc.property(fc.json(), (headers) => decode(JSON.stringify({ ...goodEvent, outboxheaders: headers }))))
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(...Object.keys(goodEvent)), (value, name) =>
        decode(JSON.stringify({ ...goodEvent, [name]: value })),
      ),
    )
  })

  it('is an entry or a typed error however deep it is nested', () => {
    const depth = 1_000_000
    const deep = `${'['.repeat(depth)}${']'.repeat(depth)}`
    const deepHeaders = JSON.stringify(deep)
    decodes(() => decodeRedisEntry(['1-0', Object.entries({ ...good, payload: deep }).flat()]))
    decodes(() =>
      decodeNatsMessage(
        natsMessage(
          Object.entries(good).map(([n, v]) => [natsName(n), v]),
          bytes(deep),
        ),
      ),
    )
    for (const text of [
      `${JSON.stringify({ ...goodEvent, data: undefined }).slice(0, -1)},"data":${deep}}`,
      `${JSON.stringify(goodEvent).slice(0, -1)},"outboxheaders":${deepHeaders}}`,
      `${JSON.stringify(goodEvent).slice(0, -1)},"id":${deep}}`,
      deep,
    ]) {
      decodes(() => receivedFromStructuredCloudEvent(text))
    }
  })

  it('is not quoted by the error', () => {
    const errorOf = (decode: () => unknown): unknown => {
      try {
        return decode()
      } catch (error) {
        return error
      }
    }
    const broken = `{"${canary}":`
    for (const error of [
      errorOf(() => decodeRedisEntry(['1-0', Object.entries({ ...good, payload: broken }).flat()])),
      errorOf(() => decodeNatsMessage(natsMessage([['Outbox-Id', good['id'] ?? '']], bytes(broken)))),
      errorOf(() => decodeNatsMessage(natsMessage([], bytes(broken)))),
      errorOf(() => receivedFromStructuredCloudEvent(broken)),
      errorOf(() => receivedFromStructuredCloudEvent(JSON.stringify({ ...goodEvent, outboxheaders: broken }))),
    ]) {
      expect(OutboxError.is(error, 'invalid-event')).toBe(true)
      expect(String(error) + JSON.stringify(error) + String(Reflect.get(Object(error), 'cause'))).not.toContain(canary)
    }
  })
})
