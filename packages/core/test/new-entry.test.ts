import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { entriesFrom } from '../src/adapter/index.ts'
import { type DomainEvent, entryFromEnvelope, event, OutboxError, partitionOf } from '../src/index.ts'
import { anId, aTime, entryOptions, refused } from './refused.ts'

const placed = event('order.placed', { aggregateId: 'o-1', payload: { totalCents: 4200 } })

test('an event becomes an entry with its id, time, aggregate type and partition filled in', () => {
  expect(entriesFrom(placed, entryOptions)).toStrictEqual([
    {
      id: anId,
      eventType: 'order.placed',
      aggregateType: 'order',
      aggregateId: 'o-1',
      sequence: undefined,
      occurredAt: aTime,
      payload: '{"totalCents":4200}',
      headers: {},
      partition: partitionOf('order', 'o-1'),
    },
  ])
})

test('what the event says wins over the defaults', () => {
  const id = '6FA459EA-EE8A-3CA4-894E-DB77E160355E'
  const occurredAt = new Date('2001-01-01T00:00:00Z')
  const [entry] = entriesFrom(
    { ...placed, aggregateType: 'purchase', id, occurredAt, sequence: 9n, headers: { tenant: 'acme' } },
    entryOptions,
  )
  expect(entry).toMatchObject({
    id: id.toLowerCase(),
    aggregateType: 'purchase',
    occurredAt,
    sequence: 9,
    headers: { tenant: 'acme' },
    partition: partitionOf('purchase', 'o-1'),
  })
})

test('the aggregate type is the text before the first dot', () => {
  const [entry] = entriesFrom({ type: 'order.line.added', aggregateId: '1', payload: {} }, entryOptions)
  expect(entry?.aggregateType).toBe('order')
})

test('a batch keeps the order given, each event its own id, and an id given twice stands twice', () => {
  const ids = [anId, '6fa459ea-ee8a-3ca4-894e-db77e160355e']
  const options = { newId: () => ids.shift() ?? expect.unreachable('two ids are enough'), now: () => 0 }
  const entries = entriesFrom(
    [
      { ...placed, aggregateId: 'b' },
      { ...placed, aggregateId: 'a' },
    ],
    options,
  )
  expect(entries.map((entry) => [entry.aggregateId, entry.id])).toEqual([
    ['b', anId],
    ['a', '6fa459ea-ee8a-3ca4-894e-db77e160355e'],
  ])
  expect(
    entriesFrom(
      [
        { ...placed, id: anId },
        { ...placed, id: anId },
      ],
      entryOptions,
    ),
  ).toHaveLength(2)
})

test('an empty batch is no entries', () => {
  expect(entriesFrom([], entryOptions)).toEqual([])
})

test('an instance of a class is an event too, also where its fields are getters', () => {
  class OrderPlaced implements DomainEvent {
    get type(): string {
      return 'order.placed'
    }
    get aggregateId(): string {
      return 'o-1'
    }
    get payload(): unknown {
      return { totalCents: 1 }
    }
    get sequence(): number {
      return 3
    }
  }
  expect(entriesFrom(new OrderPlaced(), entryOptions)[0]).toMatchObject({
    aggregateId: 'o-1',
    payload: '{"totalCents":1}',
    sequence: 3,
  })
})

test('a Date from another realm, such as a test sandbox, is a Date', () => {
  const foreign = runInNewContext('new Date(86400000)') as Date
  expect(foreign instanceof Date).toBe(false)
  const [entry] = entriesFrom({ ...placed, occurredAt: foreign, payload: { at: foreign } }, entryOptions)
  expect(entry).toMatchObject({ occurredAt: new Date(86_400_000), payload: '{"at":"1970-01-02T00:00:00.000Z"}' })
})

test('later changes to what was given do not reach the entry', () => {
  const headers = { tenant: 'acme' }
  const occurredAt = new Date(1000)
  const payload = { lines: [1] }
  const [entry] = entriesFrom({ ...placed, payload, headers, occurredAt }, entryOptions)
  headers.tenant = 'other'
  occurredAt.setTime(2000)
  payload.lines.push(2)
  expect(entry).toMatchObject({ headers: { tenant: 'acme' }, occurredAt: new Date(1000), payload: '{"lines":[1]}' })
})

test('an entry passes through unchanged, its partition computed anew', () => {
  const entry = entryFromEnvelope({
    eventId: anId,
    eventType: 'account.credited',
    aggregateType: 'account',
    aggregateId: 'a-1',
    sequence: 3,
    occurredAt: aTime,
    payload: { cents: 1 },
    headers: { tenant: 'acme' },
  })
  const { published, publishedAt, ...content } = entry
  expect([published, publishedAt]).toEqual([false, null])
  expect(entriesFrom({ ...entry, partition: 99 }, entryOptions)).toStrictEqual([content])
  const spaced = '{ "cents" : 1.0 }'
  expect(entriesFrom({ ...entry, payload: spaced }, entryOptions)[0]?.payload).toBe(spaced)
})

const entry = entryFromEnvelope({
  eventId: anId,
  eventType: 'account.credited',
  aggregateType: 'account',
  aggregateId: 'a-1',
  sequence: 3,
  occurredAt: aTime,
  payload: {},
})

test.each([
  ['no event at all', undefined, '', 'is missing, not an event'],
  ['a string', 'order.placed', '', 'is a string, not an event'],
  ['an event without a type', { aggregateId: '1', payload: {} }, 'type', 'is missing, not a string'],
  ['an event type without a dot', { ...placed, type: 'placed' }, 'type', "like 'order.placed'"],
  ['an event type with an empty part', { ...placed, type: 'order..placed' }, 'type', 'not dotted'],
  ['an event type that ends in a dot', { ...placed, type: 'order.' }, 'type', 'not dotted'],
  ['an event type with a space', { ...placed, type: 'order.was placed' }, 'type', 'white space'],
  ['a numeric aggregate id', { ...placed, aggregateId: 42 }, 'aggregateId', 'is a number, not a string'],
  ['an empty aggregate id', { ...placed, aggregateId: '' }, 'aggregateId', 'is empty'],
  ['an id that is no UUID', { ...placed, id: '42' }, 'id', 'is no UUID'],
  ['a null id', { ...placed, id: null }, 'id', 'is null'],
  ['a fractional sequence', { ...placed, sequence: 1.5 }, 'sequence', 'whole number'],
  ['a negative sequence', { ...placed, sequence: -1 }, 'sequence', 'whole number'],
  ['a sequence beyond 2^53 - 1', { ...placed, sequence: 2n ** 53n }, 'sequence', 'whole number'],
  ['a sequence as text', { ...placed, sequence: '1' }, 'sequence', 'is a string, not a number or bigint'],
  ['a time as text', { ...placed, occurredAt: '2026-01-01' }, 'occurredAt', 'is a string, not a Date'],
  ['an invalid Date', { ...placed, occurredAt: new Date(Number.NaN) }, 'occurredAt', 'no date'],
  ['a year of five digits', { ...placed, occurredAt: new Date('+010000-01-01T00:00:00Z') }, 'occurredAt', '9999'],
  ['an entry whose payload is no text', { ...entry, payload: {} }, 'payload', 'is an Object, not JSON text'],
  ['an entry whose payload is no JSON', { ...entry, payload: '{s3cret' }, 'payload', 'is not JSON text'],
  ['an entry whose payload is no Unicode', { ...entry, payload: '"\ud800"' }, 'payload', 'is not JSON text'],
  ['an entry without a sequence', { ...entry, sequence: undefined }, 'sequence', 'is missing'],
  ['an entry with a wrong type', { ...entry, eventType: 'x' }, 'eventType', 'not dotted'],
  ['an entry without an aggregate type', { ...entry, aggregateType: undefined }, 'aggregateType', 'is missing'],
])('%s is refused', (_, given, path, message) => {
  const error = refused(given)
  expect(error.details).toMatchObject({ index: 0, path })
  expect(error.message).toContain(message)
  expect(error.message).toMatch(path === '' ? /^Event 0: / : new RegExp(`^Event 0, ${path}: `))
  expect(error.message).toMatch(/\. Nothing was written\.$/)
})

test('the error names the place of the event in the batch', () => {
  const error = refused([placed, placed, { ...placed, payload: { lines: [{ price: 1n }] } }])
  expect(error.details).toEqual({ index: 2, path: 'payload.lines[0].price' })
  expect(error.message).toBe('Event 2, payload.lines[0].price: JSON has no BigInt: pass a string. Nothing was written.')
})

test('a hole in the batch is refused, not skipped', () => {
  // biome-ignore lint/suspicious/noSparseArray: the hole is the case
  expect(refused([placed, , placed]).details).toEqual({ index: 1, path: '' })
})

test('the edges of sequence and time are taken', () => {
  for (const sequence of [0, Number.MAX_SAFE_INTEGER, BigInt(Number.MAX_SAFE_INTEGER)]) {
    expect(entriesFrom({ ...placed, sequence }, entryOptions)[0]?.sequence).toBe(Number(sequence))
  }
  for (const time of ['0001-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z']) {
    expect(entriesFrom({ ...placed, occurredAt: new Date(time) }, entryOptions)[0]?.occurredAt.toISOString()).toBe(time)
  }
})

test('a generator that mints no UUID, or a clock that tells no time, is refused like the caller', () => {
  expect(refused(placed, { ...entryOptions, newId: () => 'id-1' }).details.path).toBe('id')
  expect(refused(placed, { ...entryOptions, now: () => Number.NaN }).details.path).toBe('occurredAt')
})

test('an aggregate type numbered in two ways within a batch is refused; two types may differ', () => {
  const mixed = [{ ...placed, sequence: 1 }, placed]
  expect(() => entriesFrom(mixed, entryOptions)).toThrow(
    expect.objectContaining({ code: 'sequence-source-mixed', details: { aggregateType: 'order' } }),
  )
  const other = event('user.added', { aggregateId: 'u-1', payload: {} })
  expect(entriesFrom([{ ...placed, sequence: 1 }, other], entryOptions)).toHaveLength(2)
})

test('a getter or toJSON that throws is the cause of the refusal', () => {
  const bug = new Error('no such column')
  const payload = {
    get total(): number {
      throw bug
    },
  }
  const error = refused({ ...placed, payload })
  expect(error.details.path).toBe('payload')
  expect(error.cause).toBe(bug)
  expect(OutboxError.is(error, 'invalid-event')).toBe(true)
})
