import { expect, test } from 'vitest'
import { decodeMessage } from '../src/message.ts'

const fields = {
  id: '0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111',
  'event-type': 'order.placed',
  'aggregate-type': 'order',
  'aggregate-id': '7',
  sequence: '1',
  epoch: '1',
  'occurred-at': '2026-03-01T12:00:00.123Z',
}

test('what no outbox wrote is refused as an invalid event, whatever it is', () => {
  expect(decodeMessage({ fields, headers: {}, payload: '{}' })).toMatchObject({ aggregateId: '7', payload: {} })
  const others: readonly unknown[] = [
    undefined,
    null,
    42,
    'text',
    [],
    {},
    { fields: null, headers: {}, payload: '{}' },
    { fields: 'none', headers: {}, payload: '{}' },
    { fields: { ...fields, sequence: 1 }, headers: {}, payload: '{}' },
    { fields, headers: null, payload: '{}' },
    { fields, headers: { tenant: 1 }, payload: '{}' },
    { fields, headers: {} },
    { fields, headers: {}, payload: {} },
  ]
  for (const other of others) {
    expect(() => decodeMessage(other), JSON.stringify(other)).toThrow(
      expect.objectContaining({ code: 'invalid-event' }),
    )
  }
})
