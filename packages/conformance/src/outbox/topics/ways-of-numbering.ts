import { expect } from 'vitest'
import { abandonedSavepoint } from '../../abandoned-savepoint.ts'
import { failure } from '../../failures.ts'
import { inTurn } from '../../in-turn.ts'
import { places } from '../../places.ts'
import type { OutboxCheck } from '../context.ts'
import { account, order } from '../events.ts'

/** Whether the store or the caller numbers a type is settled by its first event, once that is committed. */
export const waysOfNumbering: readonly OutboxCheck[] = [
  {
    id: 'numbering.mixed',
    promise: 'a type that one transaction lets the store number cannot be numbered by another, nor the other way round',
    async run({ outbox, commit }) {
      await commit([order('a'), account('a', 1)])
      const given = { ...order('b'), sequence: 1 }
      const { sequence: _, ...left } = account('b', 1)
      expect((await failure('sequence-source-mixed', commit(given))).details).toEqual({ aggregateType: 'order' })
      expect((await failure('sequence-source-mixed', commit(left))).details).toEqual({ aggregateType: 'account' })
      await failure('sequence-source-mixed', commit([order('c'), given]))
      expect(await outbox.fetchUnpublished(10)).toHaveLength(2)
      await commit([order('b'), account('b', 1)])
    },
  },
  {
    id: 'numbering.mixed-in-one-transaction',
    promise: 'a type cannot be numbered both ways in one transaction, even before its first commit',
    async run({ transaction, expectEmpty }) {
      const both = transaction((tx) =>
        inTurn(
          () => tx.enqueue(order('a')),
          () => tx.enqueue({ ...order('b'), sequence: 1 }),
        ),
      )
      expect((await failure('sequence-source-mixed', both)).details).toEqual({ aggregateType: 'order' })
      await expectEmpty()
    },
  },
  {
    id: 'numbering.first-event-rolled-back',
    promise: "a type's first event that is rolled back settles nothing: its next one may be numbered the other way",
    async run({ outbox, commit, rollBack }) {
      await rollBack((tx) => tx.enqueue([order('a'), account('a', 1)]))
      await commit([
        { ...order('a'), sequence: 7 },
        { type: 'account.credited', aggregateId: 'a', payload: {} },
      ])
      expect(places(await outbox.fetchUnpublished(10)).toSorted()).toEqual(['a#1', 'a#7'])
      await failure('sequence-source-mixed', commit(order('b')))
    },
  },
  {
    id: 'numbering.first-event-in-an-abandoned-savepoint',
    promise: "a type's first event in a savepoint that is rolled back settles nothing, in its transaction neither",
    needs: ['savepoints'],
    async run({ outbox, commit, transaction }) {
      await transaction((tx) =>
        inTurn(
          () => abandonedSavepoint(tx, (inner) => inner.enqueue(order('a'))),
          () => tx.enqueue({ ...order('a'), sequence: 7 }),
        ),
      )
      await commit({ ...order('a'), sequence: 9 })
      expect(places(await outbox.fetchUnpublished(10))).toEqual(['a#7', 'a#9'])
    },
  },
  {
    id: 'numbering.first-event-not-committed',
    promise:
      "a type's first event settles its way of numbering for nobody else before it commits: others wait, and go by how it ends",
    needs: ['concurrentTransactions', 'waitsForWriters'],
    async run({ outbox, begin }) {
      const given = { ...order('b'), sequence: 7 }
      const one = await begin()
      const two = await begin()
      await one.enqueue(order('a'))
      const second = two.enqueue(given)
      await one.rollback()
      expect(await second).toMatchObject([{ sequence: 7, duplicate: false }])
      const three = await begin()
      const third = failure('sequence-source-mixed', three.enqueue(order('c')))
      await two.commit()
      expect((await third).details).toEqual({ aggregateType: 'order' })
      await three.rollback()
      expect(places(await outbox.fetchUnpublished(10))).toEqual(['b#7'])
    },
  },
]
