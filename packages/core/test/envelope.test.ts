import { expect, test } from 'vitest'
import { type EventEnvelope, entryFromEnvelope, partitionOf } from '../src/index.ts'
import { anId, aTime, refusedBy } from './refused.ts'

const envelope: EventEnvelope = {
  eventId: anId,
  eventType: 'account.credited',
  aggregateType: 'bankAccount',
  aggregateId: 'a-1',
  sequence: 12n,
  occurredAt: aTime,
  payload: { cents: 5 },
}

test('an envelope becomes an unpublished entry with the id, version and time that it had', () => {
  expect(entryFromEnvelope({ ...envelope, headers: { tenant: 'acme' } })).toStrictEqual({
    id: anId,
    eventType: 'account.credited',
    aggregateType: 'bankAccount',
    aggregateId: 'a-1',
    sequence: 12,
    occurredAt: aTime,
    payload: '{"cents":5}',
    headers: { tenant: 'acme' },
    partition: partitionOf('bankAccount', 'a-1'),
    published: false,
    publishedAt: null,
  })
  expect(Object.isFrozen(entryFromEnvelope(envelope))).toBe(true)
})

test('an instance of a class is an envelope too, also where its fields are getters', () => {
  class Recorded implements EventEnvelope {
    readonly eventType = 'account.credited'
    readonly aggregateType = 'account'
    readonly aggregateId = 'a-1'
    readonly sequence = 1
    readonly occurredAt = aTime
    readonly payload = {}
    get eventId(): string {
      return anId
    }
  }
  expect(entryFromEnvelope(new Recorded()).id).toBe(anId)
})

test.each(['eventId', 'aggregateType', 'sequence', 'occurredAt'])(
  'nothing is filled in: an envelope without %s is refused',
  (name) => {
    for (const value of [undefined, null]) {
      const error = refusedBy(() => entryFromEnvelope({ ...envelope, [name]: value }))
      expect(error.details.path).toBe(name)
      expect(error.message).toContain(`${name}: is missing`)
    }
  },
)

test.each([
  ['eventId', 'no-uuid', 'eventId'],
  ['eventType', 'credited', 'eventType'],
  ['aggregateId', '', 'aggregateId'],
  ['sequence', -1, 'sequence'],
  ['payload', { cents: 5n }, 'payload.cents'],
  ['headers', { 'bad name': 'x' }, 'headers["bad name"]'],
])('the error names the field as the envelope does: %s', (name, value, path) => {
  const error = refusedBy(() => entryFromEnvelope({ ...envelope, [name]: value }))
  expect(error.details.path).toBe(path)
  expect(error.message).toContain(path)
})

test('how large a payload may be, the store says', () => {
  const { payload } = entryFromEnvelope({ ...envelope, payload: 'x'.repeat(2 * 1024 * 1024) })
  expect(payload).toHaveLength(2 * 1024 * 1024 + 2)
})
