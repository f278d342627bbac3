import { type Enqueueable, OutboxError } from '@outbox/core'
import { entriesFrom, mixedSequences } from '@outbox/core/adapter'
import { many } from './many.ts'
import type { Saboteur } from './run-check.ts'

/** Stores that give the wrong numbers, or let the wrong transactions wait. */
export const numberingSaboteurs: readonly Saboteur[] = [
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
    caughtBy: [
      'numbering.after-publication',
      'numbering.after-purge',
      'numbering.concurrent-producers',
      'numbering.waits-for-the-other',
    ],
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
    breaks: 'a process knows how a type is numbered from the first event that it was given, committed or not',
    sabotage: (store) => {
      const isGiven = new Map<string, boolean>()
      return {
        enqueue: async (tx, events) => {
          const entries = entriesFrom(events, { newId: () => crypto.randomUUID(), now: Date.now })
          for (const { aggregateType, sequence } of entries) {
            if ((isGiven.get(aggregateType) ?? sequence !== undefined) !== (sequence !== undefined)) {
              throw mixedSequences(aggregateType)
            }
          }
          const receipts = await store.enqueue(tx, events)
          for (const { aggregateType, sequence } of entries) isGiven.set(aggregateType, sequence !== undefined)
          return receipts
        },
      }
    },
    caughtBy: [
      'numbering.first-event-rolled-back',
      'numbering.first-event-in-an-abandoned-savepoint',
      'numbering.first-event-not-committed',
    ],
  },
  {
    breaks: 'an id that comes again is refused where its number was given, and is not any more',
    sabotage: (store) => {
      const wasGiven = new Map<string, boolean>()
      return {
        enqueue: async (tx, events) => {
          for (const { id, aggregateType, sequence } of entriesFrom(events, {
            newId: () => crypto.randomUUID(),
            now: Date.now,
          })) {
            const isGiven = sequence !== undefined
            if (wasGiven.get(id) === true && !isGiven) throw mixedSequences(aggregateType)
            wasGiven.set(id, isGiven)
          }
          return store.enqueue(tx, events)
        },
      }
    },
    caughtBy: ['idempotency.other-numbering'],
  },
  {
    breaks: 'a call of a transaction in which another one runs is refused',
    sabotage: (store) => {
      const atWork = new WeakSet<object>()
      return {
        enqueue: async (tx, events) => {
          if (atWork.has(tx)) throw new Error('another call is under way')
          atWork.add(tx)
          try {
            return await store.enqueue(tx, events)
          } finally {
            atWork.delete(tx)
          }
        },
      }
    },
    caughtBy: ['transactions.calls-at-once', 'numbering.calls-at-once'],
  },
  {
    breaks: 'one transaction waits for any other',
    hangs: ['numbering.others-do-not-wait'],
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
    breaks: 'who was told busy once is told so for ever',
    sabotage: (store) => {
      const refused = new Set<string>()
      const nameOf = (event: Enqueueable): string => `${event.aggregateId} ${event.id} ${event.sequence}`
      return {
        enqueue: async (tx, events) => {
          const names = many(events).map(nameOf)
          try {
            if (names.some((name) => refused.has(name))) throw new OutboxError('busy', 'again', { system: 'memory' })
            return await store.enqueue(tx, events)
          } catch (error) {
            if (OutboxError.is(error, 'busy')) for (const name of names) refused.add(name)
            throw error
          }
        },
      }
    },
    caughtBy: [
      'numbering.told-busy',
      'numbering.conflict-when-run-again',
      'idempotency.told-busy-then-committed',
      'idempotency.told-busy-then-rolled-back',
    ],
  },
]
