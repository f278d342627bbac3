import { entryFromEnvelope, partitionOf } from '@outbox/core'
import { expect } from 'vitest'
import { places } from '../../places.ts'
import type { OutboxTopic } from '../context.ts'
import { account, order, orders } from '../events.ts'

/** The three methods that make an outbox. */
export const trait: OutboxTopic = {
  name: 'trait',
  keeps: 'delivery',
  checks: [
    {
      id: 'trait.one-or-many',
      promise: 'enqueue takes one event, several, or none, and gives a receipt for each in the order given',
      async run({ commit, expectEmpty }) {
        expect(await commit([])).toEqual([])
        await expectEmpty()
        const [one, ...none] = await commit(order('a'))
        expect(none).toEqual([])
        expect(one).toMatchObject({ sequence: 1, duplicate: false })
        const many = await commit([order('a'), order('b'), order('b')])
        expect(many.map(({ sequence, duplicate }) => [sequence, duplicate])).toEqual([
          [2, false],
          [1, false],
          [2, false],
        ])
        expect(new Set([one, ...many].map((receipt) => receipt?.id)).size).toBe(4)
      },
    },
    {
      id: 'trait.whole-entry',
      promise: 'fetchUnpublished gives the whole entry, the receipt with its id and sequence',
      async run({ outbox, commit }) {
        const occurredAt = new Date('2025-03-04T05:06:07.089Z')
        const id = '0193a5c2-7d0e-7f00-8000-0123456789ab'
        const receipts = await commit({
          type: 'order.line.added',
          aggregateId: 'a-1',
          aggregateType: 'sales order',
          id,
          occurredAt,
          payload: { price: 12.5 },
          headers: { tenant: 'blue' },
        })
        expect(receipts).toEqual([{ id, sequence: 1, duplicate: false }])
        expect(await outbox.fetchUnpublished(10)).toEqual([
          {
            id,
            eventType: 'order.line.added',
            aggregateType: 'sales order',
            aggregateId: 'a-1',
            sequence: 1,
            occurredAt,
            payload: '{"price":12.5}',
            headers: { tenant: 'blue' },
            partition: partitionOf('sales order', 'a-1'),
            published: false,
            publishedAt: null,
          },
        ])
      },
    },
    {
      id: 'trait.envelope',
      promise: 'an entry made from an event-sourced envelope is enqueued with its own id, version and time',
      async run({ outbox, commit }) {
        const entry = entryFromEnvelope({
          eventId: '0193A5C2-7d0e-7f00-8000-0123456789ab',
          eventType: 'account.credited',
          aggregateType: 'account',
          aggregateId: 'acc-1',
          sequence: 41n,
          occurredAt: new Date('2024-02-29T23:59:59.999Z'),
          payload: { cents: 100 },
        })
        expect(await commit(entry)).toEqual([{ id: entry.id, sequence: 41, duplicate: false }])
        expect(await outbox.fetchUnpublished(10)).toEqual([entry])
      },
    },
    {
      id: 'trait.oldest-first',
      promise:
        'fetchUnpublished gives what was enqueued first, whatever ids and the times of events say, at most the limit',
      keeps: 'fairness',
      async run({ outbox, commit }) {
        for (const [index, aggregateId] of ['c', 'a', 'b', 'a'].entries()) {
          const id = `0193a5c2-7d0${9 - index}-7f00-8000-0123456789ab`
          await commit(order(aggregateId, { id, occurredAt: new Date(Date.UTC(2030 - index, 0)) }))
        }
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['c#1', 'a#1', 'b#1', 'a#2'])
        expect(places(await outbox.fetchUnpublished(2))).toEqual(['c#1', 'a#1'])
      },
    },
    {
      id: 'trait.takes-nothing',
      promise: 'fetchUnpublished takes nothing: a second caller gets the same entries',
      async run({ outbox, commit, peer }) {
        await commit(orders('a', 3))
        const first = await outbox.fetchUnpublished(10)
        expect(first).toHaveLength(3)
        expect(await (await peer()).fetchUnpublished(10)).toEqual(first)
        expect(await outbox.fetchUnpublished(10)).toEqual(first)
      },
    },
    {
      id: 'trait.mark-published',
      promise: 'what markPublished has marked is fetched no more, in no process',
      async run({ outbox, commit, peer }) {
        const [, second] = await commit(orders('a', 3))
        await outbox.markPublished([second?.id ?? ''])
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['a#1', 'a#3'])
        expect(places(await (await peer()).fetchUnpublished(10))).toEqual(['a#1', 'a#3'])
      },
    },
    {
      id: 'trait.mark-published-is-idempotent',
      promise: 'markPublished changes nothing for absent and already published ids',
      async run({ outbox, commit }) {
        const [a] = await commit([order('a'), order('b')])
        const id = a?.id ?? ''
        await outbox.markPublished([])
        await outbox.markPublished([id, id, crypto.randomUUID()])
        await outbox.markPublished([id])
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['b#1'])
        expect(await commit(order('a', { id }))).toMatchObject([{ duplicate: true }])
      },
    },
    {
      id: 'trait.mark-many',
      promise: 'thousands of ids are marked in one call',
      async run({ outbox, commit }) {
        const receipts = await commit(Array.from({ length: 3000 }, (_, n) => order(`a-${n % 30}`)))
        await outbox.markPublished(receipts.slice(1).map(({ id }) => id))
        expect(await outbox.fetchUnpublished(10)).toMatchObject([{ id: receipts[0]?.id }])
      },
    },
    {
      id: 'trait.accepts-own-numbers',
      promise: 'a batch may hold types that the caller numbers beside types that the store numbers',
      async run({ outbox, commit }) {
        const receipts = await commit([account('x', 7), order('x'), account('x', 9)])
        expect(receipts.map(({ sequence }) => sequence)).toEqual([7, 1, 9])
        expect(await outbox.fetchUnpublished(10)).toHaveLength(3)
      },
    },
  ],
}
