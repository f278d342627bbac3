import { expect, test } from 'vitest'
import { event } from '../src/index.ts'

test('an event is what was said, with its type, and frozen', () => {
  const occurredAt = new Date('2026-03-01T12:00:00Z')
  const placed = event('order.placed', {
    aggregateId: 'o-1',
    aggregateType: 'purchase',
    payload: { totalCents: 4200 },
    sequence: 7n,
    id: '0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111',
    occurredAt,
    headers: { tenant: 'acme' },
  })
  expect(placed).toStrictEqual({
    type: 'order.placed',
    aggregateId: 'o-1',
    aggregateType: 'purchase',
    payload: { totalCents: 4200 },
    sequence: 7n,
    id: '0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111',
    occurredAt,
    headers: { tenant: 'acme' },
  })
  expect(Object.isFrozen(placed)).toBe(true)
})

test('making an event mints nothing: what was left out stays absent until enqueue', () => {
  expect(Object.keys(event('order.placed', { aggregateId: 'o-1', payload: {} })).sort()).toEqual([
    'aggregateId',
    'payload',
    'type',
  ])
})
