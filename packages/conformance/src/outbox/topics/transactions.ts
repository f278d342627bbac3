import { expect } from 'vitest'
import { abandonedSavepoint } from '../../abandoned-savepoint.ts'
import { failure } from '../../failures.ts'
import { allOf, inTurn } from '../../in-turn.ts'
import { places } from '../../places.ts'
import type { CheckedTransaction, OutboxTopic } from '../context.ts'
import { order } from '../events.ts'
import { sequencesOf } from '../facts.ts'

/** Events exist if their transaction commits, and never did otherwise. */
export const transactions: OutboxTopic = {
  name: 'transactions',
  keeps: 'transactions',
  checks: [
    {
      id: 'transactions.commit',
      promise: 'several enqueues of one transaction are all there once it has committed',
      async run({ outbox, transaction, peer }) {
        await transaction((tx) =>
          inTurn(
            () => tx.enqueue(order('a')),
            () => tx.enqueue([order('b'), order('a')]),
          ),
        )
        const entries = await outbox.fetchUnpublished(10)
        expect(places(entries).toSorted()).toEqual(['a#1', 'a#2', 'b#1'])
        expect(sequencesOf(entries, 'a')).toEqual([1, 2])
        expect(await (await peer()).fetchUnpublished(10)).toHaveLength(3)
      },
    },
    {
      id: 'transactions.calls-at-once',
      promise: 'calls of one transaction that nobody awaited one by one are all taken, each with its receipts',
      async run({ outbox, transaction }) {
        const calls = await transaction((tx) =>
          allOf([tx.enqueue(order('a')), tx.enqueue([order('b'), order('a')]), tx.enqueue(order('a'))]),
        )
        expect(calls.map((receipts) => receipts.length)).toEqual([1, 2, 1])
        const given = calls.flat().map(({ id, sequence }) => `${id} ${sequence}`)
        const entries = await outbox.fetchUnpublished(10)
        expect(entries.map(({ id, sequence }) => `${id} ${sequence}`).toSorted()).toEqual(given.toSorted())
        expect(places(entries).toSorted()).toEqual(['a#1', 'a#2', 'a#3', 'b#1'])
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
      async run({ commit, rollBack, expectEmpty }) {
        await rollBack((tx) => tx.enqueue([order('a'), order('b')]))
        await expectEmpty()
        expect((await commit(order('a')))[0]?.duplicate).toBe(false)
      },
    },
    {
      id: 'transactions.rollback-is-not-seen',
      promise: 'what is read while a transaction is open shows nothing of it',
      async run({ outbox, rollBack }) {
        // Not awaited inside: a database with one connection answers only when the transaction is over.
        let seen: Promise<unknown> | undefined
        await rollBack((tx) =>
          inTurn(
            () => tx.enqueue(order('a')),
            () => {
              seen = outbox.fetchUnpublished(10)
            },
          ),
        )
        expect(await seen).toEqual([])
      },
    },
    {
      id: 'transactions.invisible-before-commit',
      promise: 'nothing is visible before the commit, and all of it after',
      needs: ['concurrentTransactions'],
      async run({ outbox, begin, peer, expectEmpty }) {
        const other = await peer()
        const tx = await begin()
        await tx.enqueue([order('a'), order('b')])
        await expectEmpty()
        expect(await other.fetchUnpublished(10)).toEqual([])
        await tx.commit()
        expect(places(await other.fetchUnpublished(10)).toSorted()).toEqual(['a#1', 'b#1'])
        expect(places(await outbox.fetchUnpublished(10)).toSorted()).toEqual(['a#1', 'b#1'])
      },
    },
    {
      id: 'transactions.isolated',
      promise: 'two open transactions see nothing of each other: one commits, the other rolls back',
      needs: ['concurrentTransactions'],
      async run({ outbox, commit, begin }) {
        await commit(order('first')) // the type's way of numbering is settled by its first event
        const stays = await begin()
        const goes = await begin()
        await stays.enqueue(order('stays'))
        await goes.enqueue(order('goes'))
        await goes.rollback()
        await stays.commit()
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['first#1', 'stays#1'])
      },
    },
    {
      id: 'transactions.crash-before-commit',
      promise: 'what a process has enqueued when it dies before its commit never was, and keeps nobody waiting',
      needs: ['crashes'],
      async run({ outbox, commit, crash }) {
        await commit(order('a'))
        const event = order('a', { id: crypto.randomUUID() })
        await crash((tx) => tx.enqueue([event, order('b')]))
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['a#1'])
        const receipts = await commit([event, order('b')]) // waits until the database has noticed
        expect(receipts.map(({ duplicate }) => duplicate)).toEqual([false, false])
        expect(receipts[0]?.sequence).toBeGreaterThan(1)
        expect((await outbox.fetchUnpublished(10)).map(({ aggregateId }) => aggregateId)).toEqual(['a', 'a', 'b'])
      },
    },
    {
      id: 'transactions.savepoint-rollback',
      promise: 'a savepoint that is rolled back leaves nothing, what stands around it stays',
      needs: ['savepoints'],
      async run({ outbox, transaction }) {
        await transaction((tx) =>
          inTurn(
            () => tx.enqueue(order('before')),
            () => abandonedSavepoint(tx, (inner) => inner.enqueue([order('inside'), order('before')])),
            () => tx.enqueue(order('after')),
          ),
        )
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['before#1', 'after#1'])
      },
    },
    {
      id: 'transactions.savepoint-commit',
      promise: 'a savepoint that is kept commits and rolls back with the transaction around it',
      needs: ['savepoints'],
      async run({ outbox, transaction, rollBack, expectEmpty }) {
        await rollBack((tx) => tx.savepoint((inner) => inner.enqueue(order('a'))))
        await expectEmpty()
        await transaction((tx) => tx.savepoint((inner) => inner.enqueue(order('a'))))
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['a#1'])
      },
    },
    {
      id: 'transactions.id-is-free-after-savepoint',
      promise: 'an id written in an abandoned savepoint can be written after it',
      needs: ['savepoints'],
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
      async run({ transaction, expectEmpty }) {
        let kept: CheckedTransaction | undefined
        await transaction((tx) => {
          kept = tx
        })
        const late = enqueueLate(kept)
        expect((await failure('not-a-transaction', late)).details).toEqual({ reason: 'finished' })
        await expectEmpty()
      },
    },
    {
      id: 'transactions.rolled-back-handle',
      promise: 'the handle of a rolled back transaction is refused, and nothing is written',
      async run({ rollBack, expectEmpty }) {
        let kept: CheckedTransaction | undefined
        await rollBack((tx) => {
          kept = tx
        })
        await failure('not-a-transaction', enqueueLate(kept))
        await expectEmpty()
      },
    },
    {
      id: 'transactions.forgotten-await',
      promise: 'an enqueue that nobody awaits never outlives a rollback',
      async run({ rollBack, expectEmpty }) {
        let forgotten: PromiseLike<unknown> = Promise.resolve()
        await rollBack((tx) => {
          forgotten = settled(tx.enqueue(order('a')))
        })
        await forgotten
        await expectEmpty()
      },
    },
    {
      id: 'transactions.wrong-handle',
      promise: 'what is no transaction at all is refused by name, and nothing is written',
      async run({ outbox, enqueueWith, expectEmpty }) {
        for (const handle of [undefined, null, {}, 'tx', outbox]) {
          await failure('not-a-transaction', enqueueWith(handle, order('a')))
        }
        await expectEmpty()
      },
    },
  ],
}

/** `async`, so that a synchronous driver's error is a rejection too. */
async function enqueueLate(tx: CheckedTransaction | undefined): Promise<unknown> {
  if (!tx) throw new Error('the transaction callback was not called')
  return tx.enqueue(order('late'))
}

async function settled(work: unknown): Promise<unknown> {
  return Promise.allSettled([work])
}
