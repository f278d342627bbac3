import type { ReceivedEntry } from '@outbox/core/wire'
import { expect, it } from 'vitest'
import { audit } from '../src/audit.ts'

const none: ReadonlySet<string> = new Set()

function message(id: string, sequence: number, epoch = 1): ReceivedEntry {
  return {
    id,
    sequence,
    epoch,
    eventType: 'order.changed',
    aggregateType: 'order',
    aggregateId: '7',
    occurredAt: new Date(0),
    headers: {},
    payload: {},
    payloadText: '{}',
  }
}

it('finds nothing where nothing is wrong', () => {
  const found = audit(['a', 'b'], [message('a', 1), message('b', 2)], none)
  expect(found).toMatchObject({ entries: 2, lost: [], leaked: [], outOfOrder: [], dead: 0 })
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
