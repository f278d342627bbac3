import { expect, test } from 'vitest'
import { candidatesFrom } from '../src/mysql/scan.ts'

const aggregate = (aggregateId: string, position: number) => ({
  aggregateType: 'order',
  aggregateId,
  partition: 7,
  position,
})
const due = (aggregateId: string, position: number | null) => ({
  ...aggregate(aggregateId, 0),
  position,
  hasParked: false,
  parkings: 1,
  dueSince: 0,
})

test('both kinds of candidates take turns, the oldest first, and what has no entry is none', () => {
  const met = [aggregate('a', 1), aggregate('b', 4)].map((one) => ({ ...one, row: 'none' as const }))
  const candidates = candidatesFrom(met, [due('c', 2), due('d', null), due('e', 3)], 10)
  expect(candidates.map(({ aggregateId }) => aggregateId)).toEqual(['a', 'c', 'e', 'b'])
})

test('an aggregate whose row was deleted between the two reads is a candidate once', () => {
  const met = [{ ...aggregate('a', 1), row: 'none' as const }]
  expect(candidatesFrom(met, [due('a', 1), due('b', 2)], 10).map(({ aggregateId }) => aggregateId)).toEqual(['a', 'b'])
})
