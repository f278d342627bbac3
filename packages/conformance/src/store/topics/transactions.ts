import { expect } from 'vitest'
import { inTurn } from '../../in-turn.ts'
import { places } from '../../places.ts'
import type { CheckedTransaction } from '../context.ts'
import { order } from '../events.ts'
import { expectEmpty, failure } from '../facts.ts'
import type { StoreTopic } from '../store-check.ts'
import { startRelay } from '../test-relay.ts'

/** Events exist if their transaction commits, and never did otherwise. */
export const transactions: StoreTopic = {
  name: 'transactions',
  checks: [
    {
      id: 'transactions.commit',
      promise: 'several enqueues of one transaction are all there once it has committed',
      async run({ store, transaction, peer }) {
        await transaction((tx) =>
          inTurn(
            () => tx.enqueue(order('a')),
            () => tx.enqueue([order('b'), order('a')]),
          ),
        )
        expect(places(await store.fetchUnpublished(10))).toEqual(['a#1', 'a#2', 'b#1'])
        expect(await (await peer()).fetchUnpublished(10)).toHaveLength(3)
      },
    },
    {
      id: 'transactions.result',
      promise: 'enqueue inside the transaction gives its receipts there',
      async run({ transaction }) {
        const receipts = await transaction((tx) => tx.enqueue(order('a')))
        expect(receipts).toMatchObject([{ sequence: 1, duplicate: false }])
      },
    },
    {
      id: 'transactions.rollback',
      promise: 'a rolled back transaction leaves nothing',
      async run({ store, rollBack, commit }) {
        await rollBack((tx) => tx.enqueue([order('a'), order('b')]))
        await expectEmpty(store)
        expect((await commit(order('a')))[0]?.duplicate).toBe(false)
      },
    },
    {
      id: 'transactions.rollback-is-not-seen',
      promise: 'what is read while a transaction is open shows nothing of it',
      async run({ store, rollBack }) {
        const relay = await startRelay(store)
        // Not awaited inside: a database with one connection answers only when the transaction is over.
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
      },
    },
    {
      id: 'transactions.invisible-before-commit',
      promise: 'nothing is visible before the commit, and all of it after',
      needs: ['concurrentTransactions'],
      async run({ store, begin, peer }) {
        const other = await peer()
        const relay = await startRelay(other)
        const tx = await begin()
        await tx.enqueue([order('a'), order('b')])
        await expectEmpty(store)
        expect(await relay.fetch()).toEqual([])
        expect((await other.poll({ holder: relay.holder })).duePartitions).toEqual([])
        await tx.commit()
        expect(places(await relay.fetch()).toSorted()).toEqual(['a#1', 'b#1'])
      },
    },
    {
      id: 'transactions.isolated',
      promise: 'two open transactions see nothing of each other: one commits, the other rolls back',
      needs: ['concurrentTransactions'],
      async run({ store, begin, commit }) {
        await commit(order('first')) // the type's way of numbering is settled by its first event
        const stays = await begin()
        const goes = await begin()
        await stays.enqueue(order('stays'))
        await goes.enqueue(order('goes'))
        await goes.rollback()
        await stays.commit()
        expect(places(await store.fetchUnpublished(10))).toEqual(['first#1', 'stays#1'])
      },
    },
    {
      id: 'transactions.savepoint-rollback',
      promise: 'a savepoint that is rolled back leaves nothing, what stands around it stays',
      async run({ store, transaction }) {
        await transaction((tx) =>
          inTurn(
            () => tx.enqueue(order('before')),
            () => abandonedSavepoint(tx, (inner) => inner.enqueue([order('inside'), order('before')])),
            () => tx.enqueue(order('after')),
          ),
        )
        expect(places(await store.fetchUnpublished(10))).toEqual(['before#1', 'after#1'])
      },
    },
    {
      id: 'transactions.savepoint-commit',
      promise: 'a savepoint that is kept commits and rolls back with the transaction around it',
      async run({ store, transaction, rollBack }) {
        await rollBack((tx) => tx.savepoint((inner) => inner.enqueue(order('a'))))
        await expectEmpty(store)
        await transaction((tx) => tx.savepoint((inner) => inner.enqueue(order('a'))))
        expect(places(await store.fetchUnpublished(10))).toEqual(['a#1'])
      },
    },
    {
      id: 'transactions.id-is-free-after-savepoint',
      promise: 'an id written in an abandoned savepoint can be written after it',
      async run({ transaction }) {
        const event = order('a', { id: crypto.randomUUID() })
        const receipts = await transaction((tx) =>
          inTurn(
            () => abandonedSavepoint(tx, (inner) => inner.enqueue(event)),
            () => tx.enqueue(event),
          ),
        )
        expect(receipts).toMatchObject([{ id: event.id, duplicate: false }])
      },
    },
    {
      id: 'transactions.finished-handle',
      promise: 'the handle of a committed transaction is refused, and nothing is written',
      async run({ store, transaction }) {
        let kept: CheckedTransaction | undefined
        await transaction((tx) => {
          kept = tx
        })
        const late = enqueueLate(kept)
        expect((await failure('not-a-transaction', late)).details).toEqual({ reason: 'finished' })
        await expectEmpty(store)
      },
    },
    {
      id: 'transactions.rolled-back-handle',
      promise: 'the handle of a rolled back transaction is refused, and nothing is written',
      async run({ store, rollBack }) {
        let kept: CheckedTransaction | undefined
        await rollBack((tx) => {
          kept = tx
        })
        await failure('not-a-transaction', enqueueLate(kept))
        await expectEmpty(store)
      },
    },
    {
      id: 'transactions.forgotten-await',
      promise: 'an enqueue that nobody awaits never outlives a rollback',
      async run({ store, rollBack }) {
        let forgotten: PromiseLike<unknown> = Promise.resolve()
        await rollBack((tx) => {
          forgotten = settled(tx.enqueue(order('a')))
        })
        await forgotten
        await expectEmpty(store)
      },
    },
    {
      id: 'transactions.wrong-handle',
      promise: 'what is no transaction at all is refused by name, and nothing is written',
      async run({ store, enqueueWith }) {
        for (const handle of [undefined, null, {}, 'tx', store]) {
          await failure('not-a-transaction', enqueueWith(handle, order('a')))
        }
        await expectEmpty(store)
      },
    },
  ],
}

const abandoned = new Error('savepoint rolled back on purpose')

/** Runs a savepoint that throws, and goes on after it. */
function abandonedSavepoint(tx: CheckedTransaction, work: (inner: CheckedTransaction) => unknown) {
  const ignore = (error: unknown): void => {
    if (error !== abandoned) throw error
  }
  try {
    const result = tx.savepoint((inner) =>
      inTurn(
        () => work(inner),
        () => {
          throw abandoned
        },
      ),
    )
    return Promise.resolve(result).then(() => undefined, ignore)
  } catch (error) {
    return ignore(error)
  }
}

/** `async`, so that a synchronous driver's error is a rejection too. */
async function enqueueLate(tx: CheckedTransaction | undefined): Promise<unknown> {
  if (!tx) throw new Error('the transaction callback was not called')
  return tx.enqueue(order('late'))
}

async function settled(work: unknown): Promise<unknown> {
  return Promise.allSettled([work])
}
