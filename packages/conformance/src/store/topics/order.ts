import type { DueEntry } from '@outbox/core'
import { expect } from 'vitest'
import { inTurn } from '../../in-turn.ts'
import { account, order, orderIdsIn, orders } from '../../outbox/events.ts'
import { sequencesOf } from '../../outbox/facts.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import { dead, farFuture, published, refused, startRelay } from '../test-relay.ts'

/** Per aggregate, a fetch lends a prefix, by sequence, of everything that is committed and pending. */
export const orderTopic: StoreTopic = {
  name: 'order',
  keeps: 'order',
  checks: [
    {
      id: 'order.one-enqueue-reversed',
      promise: 'sequences 2 and 1 in one enqueue are lent as 1 and 2',
      async run({ store, commit }) {
        await commit([account('a', 2), account('a', 1)])
        expect(places(await (await startRelay(store)).fetch())).toEqual(['a#1', 'a#2'])
      },
    },
    {
      id: 'order.two-enqueues-reversed',
      promise: 'sequences 2 and 1 in two enqueues of one transaction are lent as 1 and 2',
      async run({ store, transaction }) {
        await transaction((tx) =>
          inTurn(
            () => tx.enqueue(account('a', 2)),
            () => tx.enqueue(account('a', 1)),
          ),
        )
        expect(places(await (await startRelay(store)).fetch())).toEqual(['a#1', 'a#2'])
      },
    },
    {
      id: 'order.prefix-by-sequence',
      promise: 'what was committed in any order is lent from the lowest sequence on, however few are asked for',
      async run({ store, commit }) {
        for (const sequence of [5, 3, 9, 1, 7]) await commit(account('a', sequence))
        const relay = await startRelay(store)
        expect(places(await relay.fetch({ limit: 1 }))).toEqual(['a#1'])
        expect(places(await relay.fetch({ limit: 3 }))).toEqual(['a#1', 'a#3', 'a#5'])
        expect(places(await relay.fetch({ limitPerAggregate: 2 }))).toEqual(['a#1', 'a#3'])
        expect(places(await relay.drain({ limit: 2 }))).toEqual(['a#1', 'a#3', 'a#5', 'a#7', 'a#9'])
      },
    },
    {
      id: 'order.prefix-of-all',
      promise: 'a low sequence written behind hundreds of entries of its aggregate and others comes first all the same',
      async run({ store, commit }) {
        const ids = ['a', 'b', 'c']
        await commit(ids.flatMap((id) => Array.from({ length: 300 }, (_, n) => account(id, n + 10))))
        await commit(account('b', 4))
        const relay = await startRelay(store)
        for (const limit of [5, 50]) {
          const batch = await relay.fetch({ limit, limitPerAggregate: limit })
          const lent = sequencesOf(batch, 'b')
          expect([4, ...Array.from({ length: 300 }, (_, n) => n + 10)].slice(0, lent.length)).toEqual(lent)
        }
        const b = sequencesOf(await relay.drain({ limit: 100 }), 'b')
        expect(b).toEqual([4, ...Array.from({ length: 300 }, (_, n) => n + 10)])
      },
    },
    {
      id: 'order.ascending-in-a-batch',
      promise: 'entries of many aggregates, enqueued in turns, stand in ascending sequence within a batch',
      async run({ store, commit }) {
        for (let n = 0; n < 20; n++) await commit(['c', 'a', 'd', 'b'].map((id) => order(id)))
        const batch = await (await startRelay(store)).fetch()
        expect(batch).toHaveLength(80)
        expectAscending(batch)
      },
    },
    {
      id: 'order.skewed-clocks',
      promise: 'ids and times come from clocks that differ, and decide nothing: the sequence does',
      async run({ store, commit }) {
        for (let n = 9; n > 0; n--) {
          const id = `0193a5c2-7d0${n}-7f00-8000-0123456789ab`
          await commit(order('a', { id, occurredAt: new Date(Date.UTC(2000 + n, 0)) }))
        }
        const relay = await startRelay(store)
        expect(sequencesOf(await relay.fetch({ limit: 4 }), 'a')).toEqual([1, 2, 3, 4])
        expect(sequencesOf(await relay.drain({ limit: 2 }), 'a')).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
      },
    },
    {
      id: 'order.repeatable',
      promise: 'a relay that fetches again before it settles gets the same entries again, none skipped',
      async run({ store, commit }) {
        await commit(orders('a', 4))
        const relay = await startRelay(store)
        const first = await relay.fetch({ limit: 2 })
        expect(await relay.fetch({ limit: 2 })).toEqual(first)
        await relay.settle(first.map(published))
        expect(places(await relay.fetch())).toEqual(['a#3', 'a#4'])
      },
    },
    {
      id: 'order.head-unsettled',
      promise: 'after a batch of which only the beginning was published, the next goes on at the first that was not',
      async run({ store, commit }) {
        await commit(orders('a', 4))
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch()).slice(0, 1).map(published))
        expect(places(await relay.fetch())).toEqual(['a#2', 'a#3', 'a#4'])
      },
    },
    {
      id: 'order.head-waits',
      promise:
        'while the head of an aggregate waits, nothing of the aggregate is lent, new entries and lower ones neither',
      async run({ store, commit }) {
        await commit([account('a', 5), account('a', 6), account('b', 1)])
        const relay = await startRelay(store)
        const head = (await relay.fetch()).find((entry) => entry.sequence === 5)
        if (!head) throw new Error('the head was not lent')
        await relay.settle([refused(head, farFuture)])
        await commit([account('a', 7), account('a', 2)])
        expect(places(await relay.drain())).toEqual(['b#1'])
        await commit(account('b', 2))
        expect(places(await relay.fetch())).toEqual(['b#2'])
      },
    },
    {
      id: 'order.waited',
      promise: 'an aggregate that has waited goes on at its lowest sequence, what was enqueued meanwhile included',
      async run({ store, commit }) {
        await commit([account('a', 5), account('a', 6)])
        const relay = await startRelay(store)
        const batch = await relay.fetch()
        await relay.settle(batch.slice(0, 1).map((entry) => refused(entry, 0)))
        await commit([account('a', 7), account('a', 2)])
        expect(places(await relay.drain({ limit: 2 }))).toEqual(['a#2', 'a#5', 'a#6', 'a#7'])
      },
    },
    {
      id: 'order.late-commit-is-found',
      promise: 'a transaction that enqueued early and commits late is lent, after thousands of later entries are done',
      needs: ['concurrentTransactions'],
      async run({ store, begin, commit }) {
        await commit(order('first'))
        const late = await begin()
        await late.enqueue(order('late'))
        const relay = await startRelay(store)
        for (let round = 0; round < 4; round++) {
          await commit(Array.from({ length: 500 }, (_, n) => order(`other-${n % 20}`)))
          await relay.drain()
        }
        await late.commit()
        expect(places(await relay.fetch())).toEqual(['late#1'])
      },
    },
    {
      id: 'order.late-commit-into-a-blocked-aggregate',
      promise: 'what was enqueued before its aggregate was blocked, and committed after, waits its turn like the rest',
      needs: ['concurrentTransactions'],
      async run({ store, begin, commit }) {
        await commit(order('a'))
        const late = await begin()
        await late.enqueue(order('a'))
        const relay = await startRelay(store)
        const batch = await relay.fetch()
        await relay.settle(batch.map((entry) => dead(entry, 'block')))
        await late.commit()
        expect(await relay.fetch()).toEqual([])
        expect((await store.poll({ holder: relay.holder })).duePartitions).toEqual([])
        await store.deadLetters.requeue(batch.map(({ id }) => id))
        expect(places(await relay.drain())).toEqual(['a#1', 'a#2'])
      },
    },
    {
      id: 'order.late-sequence',
      promise: 'a lower sequence committed after a higher one was published is lent, and says so',
      async run({ store, commit }) {
        await commit([account('a', 2), account('b', 1)])
        const relay = await startRelay(store)
        const early = await relay.drain()
        expect(early.map(({ isLate }) => isLate)).toEqual([false, false])
        await commit([account('a', 1), account('a', 3), account('b', 2)])
        const lent = await relay.fetch()
        expect(lent.filter(({ isLate }) => isLate).map(({ sequence }) => sequence)).toEqual([1])
        expect(sequencesOf(lent, 'a')).toEqual([1, 3])
      },
    },
    {
      id: 'order.late-commit-is-late',
      promise: 'a lower sequence enqueued before a higher one was published, and committed after, says that it is late',
      needs: ['concurrentTransactions'],
      async run({ store, begin, commit }) {
        await commit(account('a', 1))
        const late = await begin()
        await late.enqueue(account('a', 2))
        await commit(account('a', 3))
        const relay = await startRelay(store)
        expect(places(await relay.drain())).toEqual(['a#1', 'a#3'])
        await late.commit()
        expect(await relay.fetch()).toMatchObject([{ sequence: 2, isLate: true }])
      },
    },
    {
      id: 'order.oldest-first',
      promise: 'aggregates of a partition come in the order in which their entries were enqueued',
      keeps: 'fairness',
      async run({ store, commit }) {
        const [a = '', b = '', c = ''] = orderIdsIn(7, 3)
        for (const id of [c, a, b]) await commit(order(id))
        const relay = await startRelay(store)
        expect(places(await relay.fetch())).toEqual([`${c}#1`, `${a}#1`, `${b}#1`])
        expect(places(await relay.fetch({ limit: 1 }))).toEqual([`${c}#1`])
      },
    },
    {
      id: 'order.after-skip',
      promise: 'an entry that died under skip lets its aggregate go on at once',
      async run({ store, commit }) {
        await commit(orders('a', 3))
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch()).slice(0, 1).map((entry) => dead(entry, 'skip')))
        expect(places(await relay.fetch())).toEqual(['a#2', 'a#3'])
      },
    },
    {
      id: 'order.block',
      promise: 'an entry that died under block stops its aggregate, for new entries too, and no other aggregate',
      async run({ store, commit }) {
        await commit([...orders('a', 3), order('b')])
        const relay = await startRelay(store)
        const head = (await relay.fetch()).filter((entry) => entry.aggregateId === 'a').slice(0, 1)
        await relay.settle(head.map((entry) => dead(entry, 'block')))
        await commit([order('a'), order('b')])
        expect(places(await relay.drain())).toEqual(['b#1', 'b#2'])
        expect((await store.stats()).pending).toBe(3)
      },
    },
    {
      id: 'order.block-in-the-middle',
      promise: 'an entry that died under block behind published ones stops what follows it',
      async run({ store, commit }) {
        await commit(orders('a', 4))
        const relay = await startRelay(store)
        const [one, two] = await relay.fetch()
        if (!one || !two) throw new Error('two entries were due')
        await relay.settle([published(one), dead(two, 'block')])
        expect(await relay.fetch()).toEqual([])
        await store.deadLetters.requeue([two.id])
        expect(places(await relay.drain())).toEqual(['a#2', 'a#3', 'a#4'])
      },
    },
  ],
}

/** Shows that the sequences of every aggregate ascend strictly. */
function expectAscending(entries: readonly DueEntry[]): void {
  for (const id of new Set(entries.map(({ aggregateId }) => aggregateId))) {
    const sequences = sequencesOf(entries, id)
    expect(sequences, id).toEqual([...new Set(sequences)].toSorted((a, b) => a - b))
  }
}
