import type { ReceivedEntry } from '@outbox/core/wire'
import { expect, it } from 'vitest'
import { audit } from '../src/audit.ts'

const none: ReadonlySet<string> = new Set()

function message(id: string, sequence: number, epoch = 1): ReceivedEntry {
  const payload = { id, aggregateId: '7', writer: 'producer', count: sequence }
  return {
    id,
    sequence,
    epoch,
    eventType: 'order.changed',
    aggregateType: 'order',
    aggregateId: '7',
    occurredAt: new Date(0),
    headers: {},
    payload,
    payloadText: JSON.stringify(payload),
  }
}

it('finds nothing where nothing is wrong', () => {
  const found = audit(['a', 'b'], [message('a', 1), message('b', 2)], none)
  expect(found).toMatchObject({ entries: 2, lost: [], leaked: [], outOfOrder: [], altered: [], dead: 0 })
})

it('finds what was lost, what leaked and what overtook', () => {
  const found = audit(['a', 'b', 'c'], [message('b', 2), message('a', 1), message('x', 3)], none)
  expect(found).toMatchObject({ lost: ['c'], leaked: ['x'], outOfOrder: ['a'] })
})

it('excuses dead letters, and what a restored database has forgotten', () => {
  const found = audit(['a', 'b'], [message('a', 1), message('old', 2)], new Set(['b']), new Set(['old']))
  expect(found).toMatchObject({ lost: [], leaked: [], dead: 1 })
})

it('tells repeats apart by their epochs', () => {
  const stream = [message('a', 1, 1), message('a', 1, 1), message('b', 2, 1), message('a', 1, 2), message('b', 2, 1)]
  const { repeats, outOfOrder } = audit(['a', 'b'], stream, none)
  expect(repeats).toEqual({ unanswered: 1, stepBack: 1, echo: 1 })
  expect(outOfOrder).toEqual([])
})

it('finds the content of another, and of nobody', () => {
  const { payload } = message('b', 2)
  const stream = [message('a', 1), { ...message('c', 2), payload }, { ...message('b', 3), payload: {} }]
  expect(audit(['a', 'b', 'c'], stream, none).altered).toEqual(['c', 'b'])
})

it('goes by what the producer counted, whatever sequences the messages claim', () => {
  const stream = [
    { ...message('b', 2), sequence: 1 },
    { ...message('a', 1), sequence: 2 },
  ]
  expect(audit(['a', 'b'], stream, none).outOfOrder).toEqual(['a'])
})
