import { type InboxStore, OutboxError } from '@outbox/core'
import { endedUnderHandler } from '@outbox/core/adapter'
import { markKey } from '../../src/marks.ts'
import { internals } from '../../src/memory-outbox.ts'
import type { MemoryTransaction } from '../../src/transaction.ts'
import type { InboxSaboteur } from './run-check.ts'

/** Inboxes that fail when two deliveries meet, when a transaction has ended, or in the years after. */
export const inboxConflictSaboteurs: readonly InboxSaboteur[] = [
  {
    breaks: 'a delivery that meets another one is called a repeat, whatever becomes of that',
    sabotage: (inbox, outbox) => {
      const { open, of } = outbox[internals].transactions
      return {
        once: async (tx, consumer, messageId, handler) => {
          const own = of(tx)
          const key = markKey({ consumer, messageId })
          const others = [...open].filter((other) => other !== own)
          if (others.some(({ marks }) => marks.some((mark) => markKey(mark) === key))) return false
          return inbox.once(tx, consumer, messageId, handler)
        },
      }
    },
    caughtBy: [
      'concurrent-deliveries.wait',
      'concurrent-deliveries.first-rolls-back',
      'concurrent-deliveries.told-busy',
      'concurrent-deliveries.told-busy-then-rolled-back',
    ],
  },
  {
    breaks: 'one delivery waits for any other',
    hangs: ['concurrent-deliveries.others-do-not-wait'],
    sabotage: (inbox, outbox) => {
      const { locks, of } = outbox[internals].transactions
      return {
        once: async (tx, ...delivery) => {
          await locks.take(of(tx), 'the whole inbox')
          return inbox.once(tx, ...delivery)
        },
      }
    },
    caughtBy: ['concurrent-deliveries.others-do-not-wait'],
  },
  {
    breaks: 'conflicts are plain errors',
    sabotage: (inbox) => ({
      once: async (...delivery) => {
        try {
          return await inbox.once(...delivery)
        } catch (error) {
          throw OutboxError.is(error, 'busy') ? new Error('deadlock detected', { cause: error }) : error
        }
      },
    }),
    caughtBy: [
      'concurrent-deliveries.crosswise',
      'concurrent-deliveries.told-busy',
      'concurrent-deliveries.told-busy-then-rolled-back',
    ],
  },
  {
    breaks: 'who was told busy once is told so for ever',
    sabotage: (inbox) => {
      const refused = new Set<string>()
      return {
        once: async (tx, consumer, messageId, handler) => {
          const key = markKey({ consumer, messageId })
          if (refused.has(key)) throw new OutboxError('busy', 'again', { system: 'memory' })
          try {
            return await inbox.once(tx, consumer, messageId, handler)
          } catch (error) {
            if (OutboxError.is(error, 'busy')) refused.add(key)
            throw error
          }
        },
      }
    },
    caughtBy: ['concurrent-deliveries.told-busy', 'concurrent-deliveries.told-busy-then-rolled-back'],
  },
  {
    breaks: 'a finished handle is served in a transaction of its own',
    sabotage: (inbox, outbox) => ({
      once: async (tx, ...delivery) => {
        try {
          return await inbox.once(tx, ...delivery)
        } catch (error) {
          if (!OutboxError.is(error, 'not-a-transaction')) throw error
          return outbox.transaction((own) => inbox.once(own, ...delivery))
        }
      },
    }),
    caughtBy: ['refusals.finished-handle', 'refusals.rolled-back-handle', 'refusals.wrong-handle'],
  },
  {
    breaks: 'a once that nobody awaits comes too late and commits by itself',
    sabotage: (inbox, outbox) => ({
      once: async (tx, ...delivery) => {
        await new Promise((resolve) => setTimeout(resolve, 1))
        return inbox.once(tx, ...delivery).catch(() => outbox.transaction((own) => inbox.once(own, ...delivery)))
      },
    }),
    caughtBy: ['refusals.forgotten-await'],
  },
  {
    breaks: 'does not look whether its transaction is still open when the handler has ended',
    sabotage: (inbox) => ({
      once: async (tx, consumer, messageId, handler) => {
        const isFirst = await inbox.once(tx, consumer, messageId, () => undefined)
        if (isFirst) await handler()
        return isFirst
      },
    }),
    caughtBy: ['asynchronous-handlers.commit-before-the-end', 'asynchronous-handlers.next-transaction'],
  },
  {
    breaks: 'takes any transaction that is open for its own',
    sabotage: (inbox, outbox) => ({
      once: async (tx, consumer, messageId, handler) => {
        const isFirst = await inbox.once(tx, consumer, messageId, () => undefined)
        if (isFirst) await handler()
        if (outbox[internals].transactions.open.size === 0) throw endedUnderHandler()
        return isFirst
      },
    }),
    caughtBy: ['asynchronous-handlers.next-transaction'],
  },
  {
    breaks: 'looks whether its transaction is open, and not whether its mark was undone with a savepoint',
    sabotage: (inbox, outbox) => ({
      once: async (tx, consumer, messageId, handler) => {
        const { open, of } = outbox[internals].transactions
        const own = of(tx)
        const isFirst = await inbox.once(tx, consumer, messageId, () => undefined)
        if (isFirst) await handler()
        if (!open.has(own)) throw endedUnderHandler()
        return isFirst
      },
    }),
    caughtBy: ['asynchronous-handlers.savepoint-rolled-back', 'asynchronous-handlers.savepoints-at-once'],
  },
  {
    breaks: 'tells that its transaction has ended in place of what the handler threw',
    sabotage: (inbox, outbox) => ({
      once: (tx, consumer, messageId, handler) =>
        inbox.once(tx, consumer, messageId, async () => {
          try {
            await handler()
          } finally {
            outbox[internals].transactions.of(tx)
          }
        }),
    }),
    caughtBy: ['asynchronous-handlers.throws-after-the-end'],
  },
  {
    breaks: 'releases the savepoint that tells whether a transaction is open, and all that were set later with it',
    sabotage: (inbox, outbox) => {
      const savepoints = new WeakMap<object, symbol[]>()
      return {
        once: async (tx, consumer, messageId, handler) => {
          const own = Symbol(messageId)
          return inbox.once(tx, consumer, messageId, async () => {
            const { marks } = outbox[internals].transactions.of(tx)
            const all = savepoints.get(marks) ?? []
            savepoints.set(marks, all)
            all.push(own)
            await handler()
            if (!all.includes(own)) throw endedUnderHandler()
            all.splice(all.indexOf(own))
          })
        },
      }
    },
    caughtBy: ['asynchronous-handlers.at-once'],
  },
  {
    breaks: 'check finds fault with everything',
    sabotage: () => ({ check: () => Promise.reject(new Error('no such table')) }),
    caughtBy: ['inbox-upkeep.set-up'],
  },
  {
    breaks: 'purge does not look at ages',
    sabotage: (inbox) => ({ purge: (request) => inbox.purge({ ...request, olderThanMs: 0 }) }),
    caughtBy: ['inbox-upkeep.purge-by-age'],
  },
  {
    breaks: 'purge knows no limit',
    sabotage: (inbox) => ({ purge: (request) => inbox.purge({ ...request, limit: 1e6 }) }),
    caughtBy: ['inbox-upkeep.purge-in-portions', 'inbox-upkeep.purge-oldest-first'],
  },
  {
    breaks: 'purge hands an endless limit to a database that takes whole ones',
    sabotage: (inbox) => ({
      purge: async (request) => {
        if (request.limit === Infinity) throw new Error('datatype mismatch')
        return inbox.purge(request)
      },
    }),
    caughtBy: ['inbox-upkeep.purge-in-portions'],
  },
  {
    breaks: 'purge forgets the youngest first',
    sabotage: (_inbox, outbox) => ({
      purge: async ({ limit }) => {
        const { marks } = outbox[internals].state
        const youngest = [...marks.keys()].toReversed().slice(0, limit)
        for (const key of youngest) marks.delete(key)
        return youngest.length
      },
    }),
    caughtBy: ['inbox-upkeep.purge-oldest-first'],
  },
  {
    breaks: 'purge counts, and forgets nothing',
    sabotage: (_inbox, outbox) => ({
      purge: async ({ limit }) => Math.min(limit, outbox[internals].state.marks.size),
    }),
    caughtBy: ['inbox-upkeep.purged-runs-again', 'inbox-upkeep.purge-in-portions'],
  },
  {
    breaks: 'purge waits for deliveries under way',
    hangs: ['inbox-upkeep.purge-under-load'],
    sabotage: (inbox, outbox) => ({
      purge: (request) =>
        outbox[internals].transactions.open.size > 0 ? new Promise(() => undefined) : inbox.purge(request),
    }),
    caughtBy: ['inbox-upkeep.purge-under-load'],
  },
  {
    breaks: 'signals are ignored',
    sabotage: (inbox): Partial<InboxStore<MemoryTransaction>> => ({
      check: () => inbox.check(),
      purge: ({ olderThanMs, limit }) => inbox.purge({ olderThanMs, limit }),
    }),
    caughtBy: ['inbox-upkeep.cancellation'],
  },
]
