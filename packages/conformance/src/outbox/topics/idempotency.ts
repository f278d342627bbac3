import { expect } from 'vitest'
import { failure } from '../../failures.ts'
import { inTurn } from '../../in-turn.ts'
import { places } from '../../places.ts'
import type { OutboxTopic } from '../context.ts'
import { account, order } from '../events.ts'

/** An event is written once per id, however often it is enqueued. */
export const idempotency: OutboxTopic = {
  name: 'idempotency',
  keeps: 'duplicates',
  checks: [
    {
      id: 'idempotency.again',
      promise: 'enqueueing an id again writes nothing, and the receipt has the first sequence',
      async run({ outbox, commit }) {
        const event = order('a', { id: crypto.randomUUID() })
        expect(await commit([order('a'), event])).toMatchObject([{ sequence: 1 }, { sequence: 2, duplicate: false }])
        expect(await commit([event])).toEqual([{ id: event.id, sequence: 2, duplicate: true }])
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['a#1', 'a#2'])
      },
    },
    {
      id: 'idempotency.other-content',
      promise: 'the id alone decides: the first content stays, under its aggregate and sequence',
      async run({ outbox, commit }) {
        const id = crypto.randomUUID()
        await commit(account('a', 5, { id, payload: 'first' }))
        const again = await commit(account('b', 9, { id, payload: 'second' }))
        expect(again).toEqual([{ id, sequence: 5, duplicate: true }])
        expect(await outbox.fetchUnpublished(10)).toMatchObject([{ aggregateId: 'a', sequence: 5, payload: '"first"' }])
      },
    },
    {
      id: 'idempotency.other-numbering',
      promise: 'an id again is a duplicate though this time its number is given, or is not',
      async run({ outbox, commit }) {
        const [given, numbered] = [crypto.randomUUID(), crypto.randomUUID()]
        await commit([account('a', 5, { id: given }), order('a', { id: numbered })])
        const again = await commit([
          order('b', { aggregateType: 'account', id: given }),
          account('b', 7, { aggregateType: 'order', id: numbered }),
        ])
        expect(again).toEqual([
          { id: given, sequence: 5, duplicate: true },
          { id: numbered, sequence: 1, duplicate: true },
        ])
        // nor does it change how the types are numbered
        expect(await commit([account('a', 6), order('a')])).toMatchObject([{ sequence: 6 }, { sequence: 2 }])
        expect(await outbox.fetchUnpublished(10)).toHaveLength(4)
      },
    },
    {
      id: 'idempotency.in-one-batch',
      promise: 'of two events of a batch with one id the first is written, and the second receipt is a duplicate',
      async run({ outbox, commit }) {
        const event = order('a', { id: crypto.randomUUID() })
        const receipts = await commit([event, order('b'), event])
        expect(receipts.map(({ sequence }) => sequence)).toEqual([1, 1, 1])
        expect(receipts.filter(({ duplicate }) => duplicate)).toEqual([{ id: event.id, sequence: 1, duplicate: true }])
        expect(places(await outbox.fetchUnpublished(10)).toSorted()).toEqual(['a#1', 'b#1'])

        // the first in the batch, wherever its aggregate comes in the order of writing
        const id = crypto.randomUUID()
        const [first, second] = await commit([order('z', { id }), order('c', { id })])
        expect([first?.duplicate, second?.duplicate]).toEqual([false, true])
        expect(places(await outbox.fetchUnpublished(10)).toSorted()).toEqual(['a#1', 'b#1', 'z#1'])
      },
    },
    {
      id: 'idempotency.in-one-transaction',
      promise: 'an id that was enqueued earlier in the same transaction is a duplicate',
      async run({ outbox, transaction }) {
        const event = order('a', { id: crypto.randomUUID() })
        const receipts = await transaction((tx) =>
          inTurn(
            () => tx.enqueue(event),
            () => tx.enqueue([event, order('a')]),
          ),
        )
        expect(receipts).toMatchObject([
          { id: event.id, sequence: 1, duplicate: true },
          { sequence: 2, duplicate: false },
        ])
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['a#1', 'a#2'])
      },
    },
    {
      id: 'idempotency.case-of-the-id',
      promise: 'a UUID in capitals is the same id',
      async run({ outbox, commit }) {
        const id = crypto.randomUUID()
        await commit(order('a', { id: id.toUpperCase() }))
        expect(await commit(order('a', { id }))).toEqual([{ id, sequence: 1, duplicate: true }])
        expect(await outbox.fetchUnpublished(10)).toMatchObject([{ id }])
      },
    },
    {
      id: 'idempotency.after-publication',
      promise: 'an id is a duplicate when its entry is published',
      async run({ outbox, commit }) {
        const event = order('a', { id: crypto.randomUUID() })
        await commit(event)
        await outbox.markPublished([event.id ?? ''])
        expect(await commit(event)).toEqual([{ id: event.id, sequence: 1, duplicate: true }])
        expect(await outbox.fetchUnpublished(10)).toEqual([])
      },
    },
    {
      id: 'idempotency.conflict-is-no-duplicate',
      promise: 'a duplicate of an entry numbered by its caller is no sequence conflict',
      async run({ commit }) {
        const event = account('a', 1, { id: crypto.randomUUID() })
        await commit(event)
        const receipts = await commit([event, account('a', 2)])
        expect(receipts.map(({ sequence, duplicate }) => [sequence, duplicate])).toEqual([
          [1, true],
          [2, false],
        ])
      },
    },
    {
      id: 'idempotency.large-batch',
      promise: 'in a large batch that was written in part before, only the rest is written',
      async run({ outbox, commit }) {
        const events = Array.from({ length: 2500 }, (_, n) => order(`a-${n % 100}`, { id: crypto.randomUUID() }))
        await commit(events.slice(500, 1500))
        const receipts = await commit(events)
        expect(receipts.map(({ id }) => id)).toEqual(events.map(({ id }) => id))
        receipts.forEach(({ duplicate }, index) => {
          expect(duplicate, `event ${index}`).toBe(index >= 500 && index < 1500)
        })
        expect(await outbox.fetchUnpublished(5000)).toHaveLength(2500)
      },
    },
    {
      id: 'idempotency.concurrently-committed',
      promise: 'of two open transactions that enqueue one id, the second writes nothing once the first has committed',
      needs: ['concurrentTransactions', 'waitsForWriters'],
      async run({ outbox, commit, begin }) {
        await commit(order('first'))
        const event = order('a', { id: crypto.randomUUID() })
        const one = await begin()
        const two = await begin()
        expect(await one.enqueue(event)).toMatchObject([{ duplicate: false }])
        const second = two.enqueue(event)
        await one.commit()
        expect(await second).toEqual([{ id: event.id, sequence: 1, duplicate: true }])
        await two.commit()
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['first#1', 'a#1'])
      },
    },
    {
      id: 'idempotency.concurrently-rolled-back',
      promise: 'of two open transactions that enqueue one id, the second writes it once the first has rolled back',
      needs: ['concurrentTransactions', 'waitsForWriters'],
      async run({ outbox, commit, begin }) {
        await commit(order('first'))
        const event = order('a', { id: crypto.randomUUID() })
        const one = await begin()
        const two = await begin()
        await one.enqueue(event)
        const second = two.enqueue(event)
        await one.rollback()
        expect(await second).toMatchObject([{ id: event.id, duplicate: false }])
        await two.commit()
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['first#1', 'a#1'])
      },
    },
    {
      id: 'idempotency.told-busy-then-committed',
      promise:
        'of two open transactions that enqueue one id, the second is told busy, and of the duplicate when it is run again after the commit',
      needs: ['concurrentTransactions'],
      insteadOf: 'waitsForWriters',
      async run({ outbox, commit, transaction, begin }) {
        await commit(order('first'))
        const event = order('a', { id: crypto.randomUUID() })
        const one = await begin()
        await one.enqueue(event)
        const second = (): Promise<unknown> => transaction((tx) => tx.enqueue(event))
        await failure('busy', second())
        await one.commit()
        expect(await second()).toEqual([{ id: event.id, sequence: 1, duplicate: true }])
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['first#1', 'a#1'])
      },
    },
    {
      id: 'idempotency.told-busy-then-rolled-back',
      promise:
        'of two open transactions that enqueue one id, the second is told busy, and writes it when it is run again after the rollback',
      needs: ['concurrentTransactions'],
      insteadOf: 'waitsForWriters',
      async run({ outbox, commit, transaction, begin }) {
        await commit(order('first'))
        const event = order('a', { id: crypto.randomUUID() })
        const one = await begin()
        await one.enqueue(event)
        const second = (): Promise<unknown> => transaction((tx) => tx.enqueue(event))
        await failure('busy', second())
        await one.rollback()
        expect(await second()).toMatchObject([{ id: event.id, duplicate: false }])
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['first#1', 'a#1'])
      },
    },
  ],
}
