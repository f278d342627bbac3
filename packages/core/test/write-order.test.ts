import fc from 'fast-check'
import { expect, test } from 'vitest'
import { entriesFrom, inWriteOrder } from '../src/adapter/index.ts'
import type { NewEntry } from '../src/index.ts'
import { entryOptions } from './refused.ts'

interface Place {
  readonly type: string
  readonly id: string
  readonly sequence?: number
}

const entriesOf = (...places: readonly Place[]): readonly NewEntry[] =>
  entriesFrom(
    places.map(({ type, id, ...rest }, index) => ({
      ...rest,
      type: `${type}.changed`,
      aggregateId: id,
      payload: { index },
    })),
    entryOptions,
  )

const places = (entries: readonly NewEntry[]): readonly string[] =>
  entries.map((entry) => `${entry.aggregateType}/${entry.aggregateId}/${entry.sequence ?? entry.payload}`)

test('a batch is written by aggregate, then sequence, whatever order it was given in', () => {
  const given = entriesOf(
    { type: 'order', id: '2', sequence: 1 },
    { type: 'order', id: '1', sequence: 10 },
    { type: 'account', id: '9', sequence: 5 },
    { type: 'order', id: '1', sequence: 9 },
  )
  expect(places(inWriteOrder(given))).toEqual(['account/9/5', 'order/1/9', 'order/1/10', 'order/2/1'])
})

test('events that the store numbers keep the order given within their aggregate', () => {
  const given = entriesOf({ type: 'order', id: '2' }, { type: 'order', id: '1' }, { type: 'order', id: '2' })
  expect(places(inWriteOrder(given))).toEqual(['order/1/{"index":1}', 'order/2/{"index":0}', 'order/2/{"index":2}'])
})

test('the batch given stays as it was', () => {
  const given = entriesOf({ type: 'order', id: '2' }, { type: 'order', id: '1' })
  const before = places(given)
  inWriteOrder(given)
  expect(places(given)).toEqual(before)
})

test('two batches over the same aggregates take them in one order, so their locks cannot cross', () => {
  const ids = fc.uniqueArray(fc.string({ unit: fc.constantFrom('a', 'B', '1', 'é', '😀', '\uffee'), minLength: 1 }))
  fc.assert(
    fc.property(ids, fc.infiniteStream(fc.nat()), (aggregateIds, chance) => {
      const shuffled = aggregateIds
        .map((id) => ({ id, place: chance.next().value as number }))
        .sort((a, b) => a.place - b.place)
      const write = (list: readonly string[]): readonly string[] =>
        inWriteOrder(entriesOf(...list.map((id) => ({ type: 'order', id })))).map((entry) => entry.aggregateId)
      expect(write(shuffled.map(({ id }) => id))).toEqual(write(aggregateIds))
    }),
  )
})
