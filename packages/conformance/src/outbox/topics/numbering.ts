import { expect } from 'vitest'
import { expectFailure, failure, refused } from '../../failures.ts'
import { inTurn } from '../../in-turn.ts'
import { places } from '../../places.ts'
import type { OutboxTopic } from '../context.ts'
import { account, order, orders } from '../events.ts'
import { sequencesOf, upTo } from '../facts.ts'
import { waysOfNumbering } from './ways-of-numbering.ts'

/** Sequences: assigned by the store, or given by the caller. */
export const numbering: OutboxTopic = {
  name: 'numbering',
  keeps: 'sequences',
  checks: [
    {
      id: 'numbering.from-one',
      promise: 'the store numbers the events of each aggregate 1, 2, 3, in the order enqueued',
      async run({ outbox, commit, transaction }) {
        await commit([order('a', { payload: 'a1' }), order('b', { payload: 'b1' }), order('a', { payload: 'a2' })])
        await transaction((tx) =>
          inTurn(
            () => tx.enqueue(order('a', { payload: 'a3' })),
            () => tx.enqueue([order('b', { payload: 'b2' }), order('a', { payload: 'a4' })]),
          ),
        )
        const entries = await outbox.fetchUnpublished(10)
        for (const { aggregateId, sequence, payload } of entries) expect(payload).toBe(`"${aggregateId}${sequence}"`)
        expect(sequencesOf(entries, 'a').toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4])
        expect(sequencesOf(entries, 'b').toSorted((a, b) => a - b)).toEqual([1, 2])
      },
    },
    {
      id: 'numbering.per-type-and-id',
      promise: 'aggregates of two types that share an id are numbered apart',
      async run({ commit }) {
        const receipts = await commit([order('x'), order('x', { aggregateType: 'other' }), order('x')])
        expect(receipts.map(({ sequence }) => sequence)).toEqual([1, 1, 2])
      },
    },
    {
      id: 'numbering.after-publication',
      promise: 'numbers go on when everything before is published',
      async run({ outbox, commit }) {
        const receipts = await commit(orders('a', 3))
        await outbox.markPublished(receipts.map(({ id }) => id))
        expect(await commit(order('a'))).toMatchObject([{ sequence: 4 }])
      },
    },
    {
      id: 'numbering.after-rollback',
      promise: 'numbers still ascend after a rollback',
      async run({ commit, rollBack }) {
        await commit(orders('a', 2))
        await rollBack((tx) => tx.enqueue(orders('a', 5)))
        const [next] = await commit(order('a'))
        expect(next?.sequence).toBeGreaterThan(2)
      },
    },
    {
      id: 'numbering.concurrent-producers',
      promise: 'many producers of one aggregate at once: every number is given once, and order is commit order',
      async run({ outbox, commit }) {
        const commits: number[] = []
        const produce = async (): Promise<void> => {
          for (let n = 0; n < 10; n++) {
            const receipts = await commit([order('a'), order('b'), order('a')])
            commits.push(...receipts.map(({ sequence }) => sequence))
          }
        }
        await Promise.all(Array.from({ length: 8 }, produce))
        expect(commits).toHaveLength(240)
        const entries = await outbox.fetchUnpublished(1000)
        expect(sequencesOf(entries, 'a')).toEqual(upTo(160))
        expect(sequencesOf(entries, 'b')).toEqual(upTo(80))
      },
    },
    {
      id: 'numbering.waits-for-the-other',
      promise: 'a second transaction that numbers the same aggregate waits until the first has ended',
      needs: ['concurrentTransactions', 'waitsForWriters'],
      async run({ outbox, commit, begin }) {
        await commit(order('a'))
        const history: string[] = []
        const one = await begin()
        const two = await begin()
        await one.enqueue(orders('a', 2))
        const second = two.enqueue(order('a')).then((receipts) => {
          history.push('second has its number')
          return receipts
        })
        for (let n = 0; n < 20; n++) await outbox.fetchUnpublished(1) // round trips enough for a store that does not wait
        history.push('first commits')
        await one.commit()
        expect(await second).toMatchObject([{ sequence: 4 }])
        expect(history).toEqual(['first commits', 'second has its number'])
        await two.commit()
        expect(sequencesOf(await outbox.fetchUnpublished(10), 'a')).toEqual([1, 2, 3, 4])
      },
    },
    {
      id: 'numbering.told-busy',
      promise:
        'a second transaction that numbers the same aggregate is told busy at once, and gets the next number when it is run again',
      needs: ['concurrentTransactions'],
      insteadOf: 'waitsForWriters',
      async run({ outbox, commit, transaction, begin }) {
        await commit(order('a'))
        const one = await begin()
        await one.enqueue(orders('a', 2))
        const second = await failure(
          'busy',
          transaction((tx) => tx.enqueue(order('a'))),
        )
        expect(second.isRetryable).toBe(true)
        await one.commit()
        expect(await transaction((tx) => tx.enqueue(order('a')))).toMatchObject([{ sequence: 4, duplicate: false }])
        expect(sequencesOf(await outbox.fetchUnpublished(10), 'a')).toEqual([1, 2, 3, 4])
      },
    },
    {
      id: 'numbering.others-do-not-wait',
      promise: 'a transaction that numbers other aggregates does not wait',
      needs: ['concurrentTransactions'],
      async run({ outbox, commit, begin }) {
        await commit(order('first'))
        const one = await begin()
        await one.enqueue(order('a'))
        await commit(order('b')) // would hang here
        await one.commit()
        expect(places(await outbox.fetchUnpublished(10)).toSorted()).toEqual(['a#1', 'b#1', 'first#1'])
      },
    },
    {
      id: 'numbering.calls-at-once',
      promise: 'several calls at once of one transaction that wait for another all go on when that has ended',
      needs: ['concurrentTransactions', 'waitsForWriters'],
      async run({ outbox, commit, begin }) {
        await commit([order('a'), order('b')])
        const one = await begin()
        const two = await begin()
        await one.enqueue([order('a'), order('b')])
        const calls = Promise.all([
          two.enqueue(order('a')),
          two.enqueue([order('b'), order('a')]),
          two.enqueue(order('a')),
        ])
        await one.commit()
        expect((await calls).map((receipts) => receipts.length)).toEqual([1, 2, 1])
        await two.commit()
        const entries = await outbox.fetchUnpublished(10)
        expect(sequencesOf(entries, 'a')).toEqual([1, 2, 3, 4, 5])
        expect(sequencesOf(entries, 'b')).toEqual([1, 2, 3])
      },
    },
    {
      id: 'numbering.deadlock',
      promise: 'two transactions that number two aggregates crosswise: one commits, the other is told busy',
      needs: ['concurrentTransactions', 'waitsForWriters'],
      async run({ outbox, commit, begin }) {
        await commit([order('a'), order('b')])
        const one = await begin()
        const two = await begin()
        await one.enqueue(order('a'))
        await two.enqueue(order('b'))
        const finish = async (tx: typeof one, crosswise: string): Promise<string> => {
          try {
            await tx.enqueue(order(crosswise))
          } catch (error) {
            await tx.rollback()
            return expectFailure('busy', error).code
          }
          await tx.commit()
          return 'committed'
        }
        const results = await Promise.all([finish(one, 'b'), finish(two, 'a')])
        expect(results.toSorted()).toEqual(['busy', 'committed'])
        const entries = await outbox.fetchUnpublished(10)
        expect(sequencesOf(entries, 'a')).toEqual([1, 2])
        expect(sequencesOf(entries, 'b')).toEqual([1, 2])
      },
    },
    {
      id: 'numbering.one-order-of-locks',
      promise: 'batches that name the same aggregates in opposite order do not deadlock',
      async run({ outbox, commit }) {
        const ids = ['a', 'b', 'c', 'd', 'e']
        const produce = async (names: readonly string[]): Promise<void> => {
          for (let n = 0; n < 10; n++) await commit(names.map((id) => order(id)))
        }
        await commit(ids.map((id) => order(id)))
        await Promise.all([produce(ids), produce(ids.toReversed()), produce(ids), produce(ids.toReversed())])
        expect(await outbox.fetchUnpublished(1000)).toHaveLength(205)
      },
    },
    {
      id: 'numbering.given',
      promise: 'the sequences that the caller gives are kept, from 0 to 2^53 - 1, number or bigint, gaps and all',
      async run({ outbox, commit }) {
        const last = Number.MAX_SAFE_INTEGER
        const receipts = await commit([
          account('a', 0),
          account('a', 17),
          { ...account('a', 0), sequence: BigInt(last) },
          account('b', 2 ** 31),
          account('b', 2 ** 32 + 1),
        ])
        expect(receipts.map(({ sequence }) => sequence)).toEqual([0, 17, last, 2 ** 31, 2 ** 32 + 1])
        const entries = await outbox.fetchUnpublished(10)
        expect(sequencesOf(entries, 'a')).toEqual([0, 17, last])
        expect(sequencesOf(entries, 'b')).toEqual([2 ** 31, 2 ** 32 + 1])
      },
    },
    {
      id: 'numbering.conflict',
      promise:
        'a sequence that another entry of the aggregate has is a typed conflict that says which, and nothing is written',
      async run({ outbox, commit }) {
        await commit([account("o'brien", 1), account("o'brien", 2)])
        const attempt = commit([account('b', 1), account("o'brien", 3), account("o'brien", 2)])
        expect((await failure('sequence-conflict', attempt)).details).toEqual({
          aggregateType: 'account',
          aggregateId: "o'brien",
          sequence: 2,
        })
        expect(await outbox.fetchUnpublished(10)).toHaveLength(2)
      },
    },
    {
      id: 'numbering.conflict-in-one-batch',
      promise: 'two events of a batch with one sequence are a conflict, and nothing is written',
      async run({ commit, expectEmpty }) {
        const attempt = commit([account('a', 1), account('a, (b) = "c"', 7), account('a, (b) = "c"', 7)])
        expect((await failure('sequence-conflict', attempt)).details).toEqual({
          aggregateType: 'account',
          aggregateId: 'a, (b) = "c"',
          sequence: 7,
        })
        await expectEmpty()
      },
    },
    {
      id: 'numbering.conflict-caught',
      promise: 'of a large batch with a conflict nothing is written, even if the caller catches the error and commits',
      async run({ outbox, commit, transaction }) {
        await commit(account('z', 1))
        const batch = Array.from({ length: 2500 }, (_, n) => account(`a-${n % 100}`, n))
        // Some databases refuse the rest of the transaction after an error: then nothing of it is there at all.
        await Promise.allSettled([
          transaction((tx) => refused('sequence-conflict', () => tx.enqueue([...batch, account('z', 1)]))),
        ])
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['z#1'])
      },
    },
    {
      id: 'numbering.conflict-of-two-writers',
      promise: 'of two open transactions that write one sequence, the second is told of the conflict',
      needs: ['concurrentTransactions', 'waitsForWriters'],
      async run({ outbox, commit, begin }) {
        await commit(account('a', 1))
        const one = await begin()
        const two = await begin()
        await one.enqueue(account('a', 2))
        const second = failure('sequence-conflict', two.enqueue(account('a', 2)))
        await one.commit()
        expect((await second).details.sequence).toBe(2)
        await two.rollback()
        expect(sequencesOf(await outbox.fetchUnpublished(10), 'a')).toEqual([1, 2])
      },
    },
    {
      id: 'numbering.conflict-when-run-again',
      promise:
        'of two open transactions that write one sequence, the second is told busy, and of the conflict when it is run again',
      needs: ['concurrentTransactions'],
      insteadOf: 'waitsForWriters',
      async run({ outbox, commit, transaction, begin }) {
        await commit(account('a', 1))
        const one = await begin()
        await one.enqueue(account('a', 2))
        const second = (): Promise<unknown> => transaction((tx) => tx.enqueue(account('a', 2)))
        await failure('busy', second())
        await one.commit()
        expect((await failure('sequence-conflict', second())).details.sequence).toBe(2)
        expect(sequencesOf(await outbox.fetchUnpublished(10), 'a')).toEqual([1, 2])
      },
    },
    ...waysOfNumbering,
  ],
}
