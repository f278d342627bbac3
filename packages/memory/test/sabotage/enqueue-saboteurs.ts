import { type Enqueueable, OutboxError } from '@outbox/core'
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
      'bad-input.named',
      'bad-input.no-secrets',
      'bad-input.transaction-goes-on',
      'transactions.wrong-handle',
    ],
  },
  {
    breaks: "the caller's numbers are replaced by the store's",
    sabotage: (store) => ({
      enqueue: (tx, events) =>
        store.enqueue(
          tx,
          many(events).map((event) => {
            if ('eventType' in event) return event
            const { sequence: _, ...rest } = event
            return rest
          }),
        ),
    }),
    caughtBy: [
      'numbering.given',
      'numbering.mixed',
      'exactness.big-sequences',
      'trait.accepts-own-numbers',
      'numbering.conflict',
      'order.prefix-of-all',
      'order.late-sequence',
    ],
  },
  {
    breaks: 'all aggregates share one counter',
    sabotage: (store) => {
      let last = 0
      return {
        enqueue: (tx, events) =>
          store.enqueue(
            tx,
            many(events).map((event) => ({ ...event, sequence: event.sequence ?? ++last }) as Enqueueable),
          ),
      }
    },
    caughtBy: ['trait.one-or-many', 'numbering.from-one', 'numbering.per-type-and-id', 'numbering.mixed'],
  },
  {
    breaks: 'the next number is the highest unpublished one plus 1, read without a lock',
    sabotage: (store) => ({
      enqueue: async (tx, events) => {
        const highest = new Map<string, number>()
        for (const { aggregateId, sequence } of await store.fetchUnpublished(1e6)) highest.set(aggregateId, sequence)
        const numbered = many(events).map((event) => {
          const sequence = (highest.get(event.aggregateId) ?? 0) + 1
          highest.set(event.aggregateId, sequence)
          return { ...event, sequence } as Enqueueable
        })
        return store.enqueue(tx, numbered)
      },
    }),
    caughtBy: ['numbering.after-publication', 'numbering.concurrent-producers', 'numbering.waits-for-the-other'],
  },
  {
    breaks: 'numbers begin anew in each transaction',
    sabotage: (store) => {
      const lasts = new WeakMap<object, number>()
      return {
        enqueue: (tx, events) =>
          store.enqueue(
            tx,
            many(events).map((event) => {
              const sequence = (lasts.get(tx) ?? 0) + 1
              lasts.set(tx, sequence)
              return { ...event, sequence } as Enqueueable
            }),
          ),
      }
    },
    caughtBy: ['numbering.after-rollback', 'numbering.from-one', 'numbering.concurrent-producers'],
  },
  {
    breaks: 'one transaction waits for any other',
    hangs: true,
    sabotage: (store) => {
      let last: Promise<unknown> = Promise.resolve()
      return {
        transaction: (work) => {
          const mine = last.then(() => store.transaction(work))
          last = mine.catch(() => undefined)
          return mine
        },
      }
    },
    caughtBy: ['numbering.others-do-not-wait'],
  },
  {
    breaks: 'locks are taken in the order given',
    sabotage: (store) => ({
      enqueue: async (tx, events) => {
        const receipts = []
        for (const event of many(events)) {
          receipts.push(...(await store.enqueue(tx, event)))
          await store.stats()
        }
        return receipts
      },
    }),
    caughtBy: ['numbering.one-order-of-locks'],
  },
  {
    breaks: 'of two that write one id, the second fails',
    sabotage: (store) => {
      const written = new Set<string>()
      return {
        enqueue: async (tx, events) => {
          for (const { id } of many(events)) {
            if (id === undefined) continue
            if (written.has(id)) throw new Error('duplicate key value violates unique constraint')
            written.add(id)
          }
          return store.enqueue(tx, events)
        },
      }
    },
    caughtBy: ['idempotency.concurrently-committed', 'idempotency.concurrently-rolled-back', 'idempotency.again'],
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

function many(events: Enqueueable | readonly Enqueueable[]): readonly Enqueueable[] {
  return Array.isArray(events) ? events : [events as Enqueueable]
}
