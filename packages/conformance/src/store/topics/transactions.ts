import { expect } from 'vitest'
import { inTurn } from '../../in-turn.ts'
import { order } from '../../outbox/events.ts'
import { transactions as outboxTransactions } from '../../outbox/topics/transactions.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import { startRelay } from '../test-relay.ts'

/** What is not committed is not lent. */
export const transactions: StoreTopic = {
  ...outboxTransactions,
  checks: [
    ...outboxTransactions.checks,
    {
      id: 'transactions.rollback-is-not-lent',
      promise: 'nothing of an open transaction is lent',
      async run({ store, rollBack }) {
        const relay = await startRelay(store)
        // Not awaited inside: a database with one connection answers only when the transaction is over. Where it has
        // several, `transactions.not-lent-before-commit` shows what is seen while the transaction is open.
        let seen: Promise<readonly [unknown, unknown]> | undefined
        await rollBack((tx) =>
          inTurn(
            () => tx.enqueue(order('a')),
            () => {
              seen = Promise.all([store.fetchUnpublished(10), relay.fetch()])
            },
          ),
        )
        expect(await seen).toEqual([[], []])
        expect(await relay.fetch()).toEqual([])
      },
    },
    {
      id: 'transactions.not-lent-before-commit',
      promise: 'nothing is lent or called due before the commit, and all of it after',
      needs: ['concurrentTransactions'],
      async run({ begin, expectEmpty, peer }) {
        const other = await peer()
        const relay = await startRelay(other)
        const tx = await begin()
        await tx.enqueue([order('a'), order('b')])
        await expectEmpty()
        expect(await relay.fetch()).toEqual([])
        expect((await other.poll({ holder: relay.holder })).duePartitions).toEqual([])
        await tx.commit()
        expect(places(await relay.fetch()).toSorted()).toEqual(['a#1', 'b#1'])
      },
    },
  ],
}
