import { expect, test } from 'vitest'
import { entriesFrom, entriesToWrite, receiptsFor } from '../src/adapter/index.ts'
import { event } from '../src/index.ts'
import { anId, entryOptions } from './refused.ts'

const anotherId = '0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a222'

test('of two entries with one id the first in the batch is written, whatever the order of writing', () => {
  const batch = entriesFrom(
    ['z', 'b', 'a'].map((aggregateId) =>
      event('order.placed', { aggregateId, payload: null, id: aggregateId === 'b' ? anotherId : anId }),
    ),
    entryOptions,
  )
  const written = entriesToWrite(batch)
  expect(written.map(({ aggregateId }) => aggregateId)).toEqual(['b', 'z'])

  const stored = new Map(written.map(({ id }) => [id, { sequence: 1, isNew: true }]))
  const receipts = receiptsFor(batch, written, stored)
  expect(receipts.map(({ duplicate }) => duplicate)).toEqual([false, false, true])
})

test('a store that says nothing of an entry is at fault', () => {
  const batch = entriesFrom(event('order.placed', { aggregateId: 'a', payload: null }), entryOptions)
  expect(() => receiptsFor(batch, batch, new Map())).toThrow('says nothing about the entry')
})
