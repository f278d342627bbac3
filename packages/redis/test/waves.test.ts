import { groupByAggregate } from '@outbox/core/adapter'
import { describe, expect, it } from 'vitest'
import { nextWave } from '../src/waves.ts'
import { dueEntry, entriesOf } from './support.ts'

const byType = (entry: { readonly eventType: string }): string => entry.eventType

describe('what is sent side by side', () => {
  it('a batch for one stream is one group, in the order given', () => {
    const entries = [...entriesOf('1', [1, 2]), ...entriesOf('2', [1]), ...entriesOf('1', [3])]
    const wave = nextWave(entries, groupByAggregate(entries), () => 'orders')
    expect(wave.groups).toEqual([{ stream: 'orders', source: 'outbox-a', indexes: [0, 1, 2, 3] }])
    expect(wave.taken).toEqual([3, 1])
  })

  it('an aggregate that changes streams waits at the change; others do not', () => {
    const entries = [
      dueEntry({ eventType: 'a.x', sequence: 1 }),
      dueEntry({ eventType: 'b.x', sequence: 2 }),
      dueEntry({ eventType: 'a.x', sequence: 3 }),
      dueEntry({ eventType: 'b.x', aggregateId: '2' }),
    ]
    const wave = nextWave(entries, groupByAggregate(entries), byType)
    expect(wave.groups.map(({ stream, indexes }) => [stream, indexes])).toEqual([
      ['a.x', [0]],
      ['b.x', [3]],
    ])
    expect(wave.taken).toEqual([1, 1])
  })

  it('an entry whose stream has no name stops its aggregate there, and is reported once it is the next', () => {
    const entries = [...entriesOf('1', [1, 2, 3]), ...entriesOf('2', [2])]
    const streamOf = (entry: { readonly sequence: number }): string => {
      if (entry.sequence === 2) throw new Error('no stream')
      return 'orders'
    }
    const first = nextWave(entries, [[0, 1, 2], [3]], streamOf)
    expect(first.groups.map(({ indexes }) => indexes)).toEqual([[0]])
    expect(first.unroutable.map(({ index }) => index)).toEqual([3])
    expect(first.taken).toEqual([1, 0])
    const second = nextWave(entries, [[1, 2]], streamOf)
    expect(second.unroutable.map(({ index }) => index)).toEqual([1])
    expect(second.groups).toEqual([])
  })

  it('entries of two outboxes are not fenced together', () => {
    const entries = [dueEntry(), dueEntry({ aggregateId: '2', source: 'outbox-b' })]
    expect(nextWave(entries, groupByAggregate(entries), () => 'orders').groups).toHaveLength(2)
  })
})
