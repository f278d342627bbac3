import type { Awaitable } from '@outbox/core'
import { markKey } from '../../src/marks.ts'
import { internals } from '../../src/memory-outbox.ts'
import type { InboxSaboteur } from './run-check.ts'

/** Inboxes that mark the wrong thing, in the wrong place, or at the wrong time. */
export const inboxSaboteurs: readonly InboxSaboteur[] = [
  {
    breaks: 'marks outside the transaction',
    sabotage: (inbox, outbox) => ({
      once: async (_tx, consumer, messageId, handler) => {
        const isFirst = await outbox.transaction((own) => inbox.once(own, consumer, messageId, () => undefined))
        if (isFirst) await handler()
        return isFirst
      },
    }),
    caughtBy: [
      'once.rollback',
      'once.crash-before-commit',
      'once.handler-throws',
      'once.handler-throws-late',
      'once.effect-and-mark-roll-back',
      'once.savepoint-rollback',
      'once.savepoint-commit',
      'concurrent-deliveries.first-rolls-back',
      'concurrent-deliveries.told-busy-then-rolled-back',
      'refusals.finished-handle',
      'refusals.rolled-back-handle',
      'refusals.wrong-handle',
      'refusals.forgotten-await',
    ],
  },
  {
    breaks: 'marks after the handler, without a unique key',
    sabotage: (inbox, outbox) => ({
      once: async (tx, consumer, messageId, handler) => {
        if (outbox[internals].state.marks.has(markKey({ consumer, messageId }))) return false
        await handler()
        await inbox.once(tx, consumer, messageId, () => undefined)
        return true
      },
    }),
    caughtBy: [
      'once.marked-before-the-handler',
      'once.twice-in-one-transaction',
      'concurrent-deliveries.wait',
      'concurrent-deliveries.many',
      'concurrent-deliveries.told-busy',
    ],
  },
  {
    breaks: 'marks nothing',
    sabotage: () => ({
      once: async (_tx, _consumer, _messageId, handler) => {
        await handler()
        return true
      },
    }),
    caughtBy: ['once.runs-the-handler', 'once.in-every-process', 'once.effect-and-mark-commit'],
  },
  {
    breaks: 'remembers in the memory of its own process what it has handled',
    sabotage: () => {
      const handled = new Set<string>()
      return {
        once: async (_tx, consumer, messageId, handler) => {
          const key = markKey({ consumer, messageId })
          if (handled.has(key)) return false
          handled.add(key)
          await handler()
          return true
        },
      }
    },
    caughtBy: ['once.in-every-process', 'once.effect-and-mark-commit', 'once.rollback', 'concurrent-deliveries.many'],
  },
  {
    breaks: 'says that the handler ran, whether it did or not',
    sabotage: (inbox) => ({
      once: async (...delivery) => {
        await inbox.once(...delivery)
        return true
      },
    }),
    caughtBy: ['once.runs-the-handler', 'once.twice-in-one-transaction', 'concurrent-deliveries.many'],
  },
  {
    breaks: 'keeps what the handler throws to itself',
    sabotage: (inbox) => ({
      once: (tx, consumer, messageId, handler) =>
        inbox.once(tx, consumer, messageId, async () => {
          await Promise.allSettled([started(handler)])
        }),
    }),
    caughtBy: ['once.handler-throws', 'once.handler-throws-late'],
  },
  {
    breaks: 'does not wait for its handler',
    sabotage: (inbox) => ({
      once: (tx, consumer, messageId, handler) =>
        inbox.once(tx, consumer, messageId, () => {
          started(handler).catch(() => undefined)
        }),
    }),
    caughtBy: ['once.handler-ends-first', 'once.handler-throws'],
  },
  {
    breaks: 'purges by an age and a limit that cannot be',
    sabotage: (inbox) => ({
      purge: async (request) =>
        inbox.purge({ olderThanMs: Math.max(0, request?.olderThanMs || 0), limit: Math.ceil(request?.limit) || 1e6 }),
    }),
    caughtBy: ['inbox-upkeep.purge-refused'],
  },
  {
    breaks: 'forgets the consumer',
    sabotage: (inbox) => ({
      once: (tx, _consumer, messageId, handler) => inbox.once(tx, 'everybody', messageId, handler),
    }),
    caughtBy: ['once.consumers-apart', 'message-ids.consumers-apart', 'message-ids.pairs-apart'],
  },
  {
    breaks: 'folds case',
    sabotage: (inbox) => ({
      once: (tx, consumer, messageId, handler) =>
        inbox.once(tx, consumer.toLowerCase(), messageId.toLowerCase(), handler),
    }),
    caughtBy: ['message-ids.apart', 'message-ids.consumers-apart'],
  },
  {
    breaks: 'folds accents and drops blanks, as a collation does',
    sabotage: (inbox) => {
      const fold = (name: string): string =>
        name
          .normalize('NFKD')
          .replace(/\p{Mn}/gu, '')
          .trimEnd() || ' '
      return {
        once: (tx, consumer, messageId, handler) => inbox.once(tx, fold(consumer), fold(messageId), handler),
      }
    },
    caughtBy: ['message-ids.apart', 'message-ids.consumers-apart'],
  },
  {
    breaks: 'joins consumer and id to one name',
    sabotage: (inbox) => ({
      once: (tx, consumer, messageId, handler) => inbox.once(tx, 'all', `${consumer}:${messageId}`, handler),
    }),
    caughtBy: ['message-ids.pairs-apart'],
  },
  {
    breaks: 'cuts names off',
    sabotage: (inbox) => ({
      once: (tx, consumer, messageId, handler) =>
        inbox.once(tx, consumer.slice(0, 100), messageId.slice(0, 100), handler),
    }),
    caughtBy: ['message-ids.as-long-as-allowed'],
  },
  {
    breaks: 'makes any name fit',
    sabotage: (inbox) => {
      const fitted = (name: unknown): string =>
        String(name)
          .toWellFormed()
          .replace(/\p{Cc}/gu, '?')
          .slice(0, 60) || 'nobody'
      return {
        once: (tx, consumer, messageId, handler) => inbox.once(tx, fitted(consumer), fitted(messageId), handler),
      }
    },
    caughtBy: ['refusals.names', 'refusals.transaction-goes-on'],
  },
  {
    breaks: 'calls a handler without looking what it is',
    sabotage: (inbox) => ({
      once: (tx, consumer, messageId, handler) => inbox.once(tx, consumer, messageId, () => handler()),
    }),
    caughtBy: ['refusals.handler'],
  },
  {
    breaks: 'takes whatever a handler gives back',
    sabotage: (inbox) => ({
      once: (tx, consumer, messageId, handler) =>
        inbox.once(tx, consumer, messageId, async () => void (await handler())),
    }),
    caughtBy: ['refusals.work-left-undone'],
  },
  {
    breaks: 'looks for promises, and not for queries that nobody has run',
    sabotage: (inbox) => ({
      once: (tx, consumer, messageId, handler) =>
        inbox.once(tx, consumer, messageId, () => {
          const result = handler()
          return result instanceof Promise ? result : undefined
        }),
    }),
    caughtBy: ['refusals.asynchronous-handler'],
  },
  {
    breaks: 'ends the transaction when it refuses a name',
    sabotage: (inbox) => {
      const over = new WeakSet<object>()
      return {
        once: async (tx, ...delivery) => {
          if (over.has(tx)) throw new Error('current transaction is aborted')
          try {
            return await inbox.once(tx, ...delivery)
          } catch (error) {
            over.add(tx)
            throw error
          }
        },
      }
    },
    caughtBy: ['refusals.transaction-goes-on'],
  },
]

async function started(handler: () => Awaitable<unknown>): Promise<void> {
  await handler()
}
