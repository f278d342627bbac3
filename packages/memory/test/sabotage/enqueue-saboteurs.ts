import { OutboxError } from '@outbox/core'
import { many } from './many.ts'
import type { Saboteur } from './run-check.ts'

/** Stores that write the wrong thing, or at the wrong time. */
export const enqueueSaboteurs: readonly Saboteur[] = [
  {
    breaks: 'enqueue commits by itself, whatever becomes of the transaction',
    sabotage: (store) => ({
      enqueue: (_tx, events) => store.transaction((own) => store.enqueue(own, events)),
    }),
    caughtBy: [
      'transactions.rollback',
      'transactions.rollback-is-not-seen',
      'transactions.rollback-is-not-lent',
      'transactions.crash-before-commit',
      'transactions.not-lent-before-commit',
      'transactions.invisible-before-commit',
      'transactions.isolated',
      'transactions.savepoint-rollback',
      'transactions.savepoint-commit',
      'transactions.id-is-free-after-savepoint',
      'transactions.finished-handle',
      'transactions.rolled-back-handle',
      'transactions.forgotten-await',
      'transactions.wrong-handle',
      'numbering.waits-for-the-other',
      'idempotency.concurrently-rolled-back',
      'numbering.deadlock',
    ],
  },
  {
    breaks: 'a finished handle writes in a transaction of its own',
    sabotage: (store) => ({
      enqueue: async (tx, events) => {
        try {
          return await store.enqueue(tx, events)
        } catch (error) {
          if (!OutboxError.is(error, 'not-a-transaction')) throw error
          return store.transaction((own) => store.enqueue(own, events))
        }
      },
    }),
    caughtBy: ['transactions.finished-handle', 'transactions.rolled-back-handle', 'transactions.wrong-handle'],
  },
  {
    breaks: 'an enqueue that nobody awaits comes too late and commits by itself',
    sabotage: (store) => ({
      enqueue: async (tx, events) => {
        await new Promise((resolve) => setTimeout(resolve, 1))
        return store.enqueue(tx, events).catch(() => store.transaction((own) => store.enqueue(own, events)))
      },
    }),
    caughtBy: ['transactions.forgotten-await'],
  },
  {
    breaks: 'a duplicate is written again under a new id',
    sabotage: (store) => ({
      enqueue: async (tx, events) => {
        const batch = many(events)
        const receipts = await store.enqueue(tx, batch)
        const again = batch.filter((_, index) => receipts[index]?.duplicate)
        await store.enqueue(
          tx,
          again.flatMap((event) => ('eventType' in event ? [] : { ...event, id: crypto.randomUUID() })),
        )
        return receipts
      },
    }),
    caughtBy: [
      'idempotency.again',
      'idempotency.in-one-batch',
      'idempotency.in-one-transaction',
      'idempotency.case-of-the-id',
      'idempotency.after-the-end',
      'idempotency.large-batch',
      'idempotency.concurrently-committed',
    ],
  },
  {
    breaks: 'receipts of duplicates do not say so',
    sabotage: (store) => ({
      enqueue: async (tx, events) =>
        (await store.enqueue(tx, events)).map((receipt) => ({ ...receipt, duplicate: false })),
    }),
    caughtBy: ['idempotency.again', 'idempotency.other-content', 'idempotency.conflict-is-no-duplicate'],
  },
  {
    breaks: 'receipts come in the order of writing, not in the order given',
    sabotage: (store) => ({
      enqueue: async (tx, events) =>
        (await store.enqueue(tx, events)).toSorted((a, b) => a.sequence - b.sequence || (a.id < b.id ? -1 : 1)),
    }),
    caughtBy: ['idempotency.large-batch', 'trait.one-or-many', 'trait.accepts-own-numbers'],
  },
  {
    breaks: 'a batch is written event by event, so that a bad one leaves the good ones before it',
    sabotage: (store) => ({
      enqueue: async (tx, events) => {
        let failed: Error | undefined
        const receipts = []
        for (const event of many(events)) {
          try {
            receipts.push(...(await store.enqueue(tx, event)))
          } catch (error) {
            if (!(error instanceof Error)) throw error
            failed = error
          }
        }
        if (failed)
          await store.transaction((own) => store.enqueue(own, { type: 'a.b', aggregateId: 'leak', payload: 1 }))
        if (failed) throw failed
        return receipts
      },
    }),
    caughtBy: [
      'bad-input.named',
      'numbering.conflict',
      'numbering.conflict-in-one-batch',
      'numbering.mixed-in-one-transaction',
    ],
  },
  {
    breaks: 'a large batch is written in portions, of which the first ones stay',
    sabotage: (store) => ({
      enqueue: async (tx, events) => {
        const batch = many(events)
        const receipts = []
        for (let start = 0; start < batch.length; start += 1000) {
          receipts.push(...(await store.enqueue(tx, batch.slice(start, start + 1000))))
        }
        return receipts
      },
    }),
    caughtBy: ['numbering.conflict-caught'],
  },
  {
    breaks: 'errors are plain ones',
    sabotage: (store) => ({
      enqueue: async (tx, events) => {
        try {
          return await store.enqueue(tx, events)
        } catch (error) {
          throw new Error('duplicate key value violates unique constraint', { cause: error })
        }
      },
    }),
    caughtBy: [
      'numbering.conflict',
      'numbering.conflict-in-one-batch',
      'numbering.conflict-of-two-writers',
      'numbering.mixed',
      'numbering.mixed-in-one-transaction',
      'numbering.deadlock',
      'numbering.told-busy',
      'numbering.conflict-when-run-again',
      'idempotency.told-busy-then-committed',
      'idempotency.told-busy-then-rolled-back',
      'bad-input.named',
      'bad-input.no-secrets',
      'bad-input.transaction-goes-on',
      'transactions.wrong-handle',
    ],
  },
  {
    breaks: 'enqueue gives no receipts',
    sabotage: (store) => ({
      enqueue: async (tx, events) => {
        await store.enqueue(tx, events)
        return []
      },
    }),
    caughtBy: ['transactions.result', 'trait.one-or-many'],
  },
  {
    breaks: 'a payload is parsed and written anew',
    sabotage: (store) => ({
      fetch: async (request) =>
        (await store.fetch(request)).map((entry) => ({ ...entry, payload: JSON.stringify(JSON.parse(entry.payload)) })),
    }),
    caughtBy: ['exactness.white-space'],
  },
]
