import { entryFromEnvelope, partitionOf } from '@outbox/core'
import { expect } from 'vitest'
import { places } from '../../places.ts'
import { account, order, orders } from '../events.ts'
import { expectEmpty } from '../facts.ts'
import type { StoreTopic } from '../store-check.ts'
import { dead, farFuture, refused, startRelay } from '../test-relay.ts'

/** The three methods that make an outbox, and the check at start. */
export const trait: StoreTopic = {
  name: 'trait',
  checks: [
    {
      id: 'trait.set-up',
      promise: 'check() passes on an outbox that is set up',
      async run({ store }) {
        await store.check()
      },
    },
    {
      id: 'trait.one-or-many',
      promise: 'enqueue takes one event, several, or none, and gives a receipt for each in the order given',
      async run({ store, commit }) {
        expect(await commit([])).toEqual([])
        await expectEmpty(store)
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
      async run({ store, commit }) {
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
        expect(await store.fetchUnpublished(10)).toEqual([
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
      async run({ store, commit }) {
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
        expect(await store.fetchUnpublished(10)).toEqual([entry])
      },
    },
    {
      id: 'trait.oldest-first',
      promise: 'fetchUnpublished gives what was enqueued first, at most the limit',
      async run({ store, commit }) {
        for (const id of ['c', 'a', 'b', 'a']) await commit(order(id))
        expect(places(await store.fetchUnpublished(10))).toEqual(['c#1', 'a#1', 'b#1', 'a#2'])
        expect(places(await store.fetchUnpublished(2))).toEqual(['c#1', 'a#1'])
      },
    },
    {
      id: 'trait.takes-nothing',
      promise: 'fetchUnpublished takes nothing: a second caller gets the same entries',
      async run({ store, commit, peer }) {
        await commit(orders('a', 3))
        const first = await store.fetchUnpublished(10)
        expect(first).toHaveLength(3)
        expect(await (await peer()).fetchUnpublished(10)).toEqual(first)
        expect(await store.fetchUnpublished(10)).toEqual(first)
      },
    },
    {
      id: 'trait.mark-published',
      promise: 'what markPublished has marked is fetched no more, and lent to no relay',
      async run({ store, commit }) {
        const [, second] = await commit(orders('a', 3))
        await store.markPublished([second?.id ?? ''])
        expect(places(await store.fetchUnpublished(10))).toEqual(['a#1', 'a#3'])
        expect(places(await (await startRelay(store)).fetch())).toEqual(['a#1', 'a#3'])
      },
    },
    {
      id: 'trait.mark-published-is-idempotent',
      promise: 'markPublished changes nothing for absent, dead and already published ids',
      async run({ store, commit }) {
        await commit([order('a'), order('b'), order('c')])
        const relay = await startRelay(store)
        const [a, b] = await relay.fetch()
        if (!a || !b) throw new Error('two entries were due')
        await relay.settle([dead(a, 'skip')])
        await store.markPublished([])
        await store.markPublished([a.id, b.id, b.id, crypto.randomUUID()])
        await store.markPublished([b.id])
        expect(places(await store.fetchUnpublished(10))).toEqual(['c#1'])
        expect((await store.deadLetters.list({ limit: 10 })).map(({ entry }) => entry.id)).toEqual([a.id])
      },
    },
    {
      id: 'trait.mark-many',
      promise: 'thousands of ids are marked in one call',
      async run({ store, commit }) {
        const receipts = await commit(Array.from({ length: 3000 }, (_, n) => order(`a-${n % 30}`)))
        await store.markPublished(receipts.slice(1).map(({ id }) => id))
        expect(await store.fetchUnpublished(10)).toMatchObject([{ id: receipts[0]?.id }])
      },
    },
    {
      id: 'trait.neither-published-nor-dead',
      promise: 'fetchUnpublished leaves out what is dead or discarded, not what waits or is blocked',
      async run({ store, commit }) {
        await commit([order('dead'), order('dead'), order('gone'), order('waits'), order('open')])
        const relay = await startRelay(store)
        const entries = await relay.fetch()
        const head = (id: string) => {
          const entry = entries.find(({ aggregateId }) => aggregateId === id)
          if (!entry) throw new Error(`${id} was not lent`)
          return entry
        }
        await relay.settle([dead(head('dead'), 'block'), dead(head('gone'), 'skip'), refused(head('waits'), farFuture)])
        await store.deadLetters.discard([head('gone').id])
        expect(places(await store.fetchUnpublished(10))).toEqual(['dead#2', 'open#1', 'waits#1'])
      },
    },
    {
      id: 'trait.accepts-own-numbers',
      promise: 'a batch may hold types that the caller numbers beside types that the store numbers',
      async run({ store, commit }) {
        const receipts = await commit([account('x', 7), order('x'), account('x', 9)])
        expect(receipts.map(({ sequence }) => sequence)).toEqual([7, 1, 9])
        expect((await store.stats()).pending).toBe(3)
      },
    },
  ],
}
