import { type DomainEvent, event, type Headers, OutboxError, publisher } from '@outbox/core'
import { stores } from '@outbox/end-to-end/stores'
import { natsPublisher } from '@outbox/nats'
import { redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import { describeWith } from '@outbox/services'
import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { openNats, openRedis, openVictim, storesUnderAttack } from '../src/systems.ts'

const attack =
  '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"a":[{"__proto__":{"polluted":true}}]}'
const attackHeaders = '{"__proto__":"polluted","constructor":"polluted","hasOwnProperty":"polluted"}'
const untouched = Object.getOwnPropertyNames(Object.prototype)

/** What `JSON.parse` gives to a program that trusts its own types. */
const parsed = <T>(text: string): T => JSON.parse(text)

afterEach(() => {
  expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(untouched)
  expect('polluted' in {}).toBe(false)
})

const targets = [
  ['redis, fields', () => openRedis({ format: 'fields' })],
  ['redis, structured', () => openRedis({ format: 'cloudevents-structured' })],
  ['nats, headers', () => openNats({ format: 'headers' })],
  ['nats, structured', () => openNats({ format: 'cloudevents-structured' })],
] as const

describe.each(storesUnderAttack)('prototypes, through %s', (store) => {
  const hostile: DomainEvent = event('order.placed', {
    aggregateId: '__proto__',
    payload: parsed<unknown>(attack),
    headers: parsed<Headers>(attackHeaders),
  })

  describeWith([...stores[store].needs, 'redis', 'nats'], 'and a broker', () => {
    // a store hands every publisher the same entry: one store meets them all
    it.each(store === 'sqlite' ? targets : targets.slice(0, 1))('are what they were: %s', async (_, open) => {
      await using victim = await openVictim(store)
      await using target = await open()
      await victim.application.commit(hostile)
      await createRelay({ store: victim.application.outbox, publisher: target.publisher }).tick()
      const [received, ...others] = await target.read()
      expect(others).toEqual([])
      if (received === undefined) throw new Error('nothing arrived')
      const payload: unknown = received.payload
      if (typeof payload !== 'object' || payload === null) throw new Error('the payload is no object')
      expect(JSON.stringify(payload)).toBe(attack)
      expect(JSON.stringify(received.headers)).toBe(attackHeaders)
      for (const object of [received, received.headers, payload]) {
        expect(Object.getPrototypeOf(object)).toBe(Object.prototype)
        expect(Reflect.get(object, 'polluted')).toBeUndefined()
      }
    })
  })
})

describe('options', () => {
  const own = <T>(name: string): T => parsed<T>(`{${JSON.stringify(name)}:{"polluted":true}}`)
  const noOptions = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
  const isRefused = (attempt: () => unknown): boolean => {
    try {
      attempt()
      return false
    } catch (error) {
      return OutboxError.is(error, 'invalid-option')
    }
  }

  it.each(noOptions)('of a relay do not include %s', async (name) => {
    const store = { fetchUnpublished: async () => [], markPublished: async () => undefined }
    const recorder = publisher({ name: 'recorder', send: () => undefined })
    // a literal keeps `__proto__` as a name where it is computed
    const withName = { store, publisher: recorder, [name]: own(name) }
    expect(isRefused(() => createRelay(withName))).toBe(true)
    expect(isRefused(() => createRelay({ store, publisher: recorder, retry: own(name) }))).toBe(true)
    expect(isRefused(() => createRelay({ store, publisher: recorder, on: own(name) }))).toBe(true)
  })

  it.each(noOptions)('of a Redis publisher do not include %s', (name) => {
    const client = new Redis({ lazyConnect: true })
    expect(isRefused(() => redisPublisher({ client, stream: 'orders', [name]: 1 }))).toBe(true)
    client.disconnect()
  })

  it.each(noOptions)('of a subject do not include the placeholder {%s}', (name) => {
    const connection = { publish: () => undefined, status: () => [] }
    expect(isRefused(() => natsPublisher({ connection: connection as never, subject: `orders.{${name}}` }))).toBe(true)
  })

  it.each(noOptions)('of a publisher: %s is no outcome', async (status) => {
    const entry = { type: 'order.placed', aggregateId: '1', payload: {} }
    await using victim = await openVictim('sqlite')
    await victim.application.commit(entry)
    const told: unknown[] = []
    const liar = {
      name: 'liar',
      capabilities: { keepsOrderInBatch: true },
      publish: async () => [{ status }] as never,
    }
    const relay = createRelay({
      store: victim.application.outbox,
      publisher: liar,
      // not due again within this tick
      retry: { minDelayMs: 60_000 },
      random: () => 0.9,
      on: { error: ({ error }) => told.push(error) },
    })
    const { published } = await relay.tick()
    expect(published).toBe(0)
    expect(told).toEqual([expect.objectContaining({ message: expect.stringContaining('status') })])
    expect(await victim.application.outbox.fetchUnpublished(10)).toHaveLength(1)
  })
})
