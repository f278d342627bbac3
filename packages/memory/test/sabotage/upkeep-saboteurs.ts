import type { CallOptions } from '@outbox/core'
import type { MemoryOutbox } from '../../src/index.ts'
import { internals } from '../../src/memory-outbox.ts'
import { deleteRow } from '../../src/rows.ts'
import type { Saboteur } from './run-check.ts'

/** Stores that read, count, purge or cancel wrongly. */
export const upkeepSaboteurs: readonly Saboteur[] = [
  {
    breaks: 'fetchUnpublished gives the newest first, without limit',
    sabotage: (store) => ({ fetchUnpublished: async () => (await store.fetchUnpublished(1e6)).toReversed() }),
    caughtBy: ['trait.oldest-first', 'transactions.commit'],
  },
  {
    breaks: 'fetchUnpublished goes by the times of the events',
    sabotage: (store) => ({
      fetchUnpublished: async (limit) => {
        const entries = await store.fetchUnpublished(1e6)
        return entries.toSorted((a, b) => a.occurredAt.getTime() - b.occurredAt.getTime()).slice(0, limit)
      },
    }),
    caughtBy: ['trait.oldest-first'],
  },
  {
    breaks: 'fetchUnpublished goes by the ids of the events',
    sabotage: (store) => ({
      fetchUnpublished: async (limit) => {
        const entries = await store.fetchUnpublished(1e6)
        return entries.toSorted((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit)
      },
    }),
    caughtBy: ['trait.oldest-first'],
  },
  {
    breaks: 'fetchUnpublished takes what it gives',
    sabotage: (store) => ({
      fetchUnpublished: async (limit) => {
        const entries = await store.fetchUnpublished(limit)
        await store.markPublished(entries.map(({ id }) => id))
        return entries
      },
    }),
    caughtBy: ['trait.takes-nothing'],
  },
  {
    breaks: 'fetchUnpublished leaves out what waits and what is blocked',
    sabotage: (store) => ({
      fetchUnpublished: async (limit) => {
        const { duePartitions } = await store.poll({ holder: '' })
        return (await store.fetchUnpublished(limit)).filter(({ partition }) => duePartitions.includes(partition))
      },
    }),
    caughtBy: ['trait.neither-published-nor-dead'],
  },
  {
    breaks: 'fetchUnpublished forgets headers, times and partitions',
    sabotage: (store) => ({
      fetchUnpublished: async (limit) =>
        (await store.fetchUnpublished(limit)).map((entry) => ({
          ...entry,
          headers: {},
          occurredAt: new Date(0),
          partition: 0,
        })),
    }),
    caughtBy: ['trait.whole-entry', 'trait.envelope', 'exactness.headers'],
  },
  {
    breaks: 'markPublished marks nothing',
    sabotage: () => ({ markPublished: async () => undefined }),
    caughtBy: [
      'trait.mark-published',
      'trait.mark-published-is-idempotent',
      'trait.marked-is-not-lent',
      'upkeep.purge-marked',
      'crashes.not-of-the-published',
    ],
  },
  {
    breaks: 'what is published is deleted at once, and its id is free again',
    sabotage: (store) => ({
      markPublished: async (ids) => {
        await store.markPublished(ids)
        await store.purge({ olderThanMs: 0, limit: 1e6 })
      },
    }),
    caughtBy: ['idempotency.after-publication', 'trait.mark-published-is-idempotent'],
  },
  {
    breaks: 'markPublished buries the dead',
    sabotage: (store) => ({
      markPublished: async (ids) => {
        await store.deadLetters.discard(ids)
        await store.markPublished(ids)
      },
    }),
    caughtBy: ['trait.mark-published-spares-the-dead'],
  },
  {
    breaks: 'check finds fault with everything',
    sabotage: () => ({ check: () => Promise.reject(new Error('no such table')) }),
    caughtBy: ['trait.set-up'],
  },
  {
    breaks: 'stats count everything as pending, from the time of the event',
    sabotage: (store) => ({
      stats: async () => {
        const { pending, dead, partitions } = await store.stats()
        const [oldest] = await store.fetchUnpublished(1)
        const age = oldest ? Date.now() - oldest.occurredAt.getTime() : 0
        return { pending: pending + dead, dead: 0, oldestPendingAgeMs: age, partitions }
      },
    }),
    caughtBy: ['upkeep.stats', 'upkeep.age', 'upkeep.age-of-the-living', 'trait.one-or-many', 'transactions.rollback'],
  },
  {
    breaks: 'stats know no partition that has only dead letters',
    sabotage: (store) => ({
      stats: async () => {
        const { partitions, ...all } = await store.stats()
        return { ...all, partitions: partitions.filter(({ pending }) => pending > 0) }
      },
    }),
    caughtBy: ['upkeep.stats-per-partition'],
  },
  {
    breaks: 'stats tell all 64 partitions, whatever is in them',
    sabotage: (store) => ({
      stats: async () => {
        const { partitions, ...all } = await store.stats()
        const none = { pending: 0, dead: 0, oldestPendingAgeMs: null }
        return {
          ...all,
          partitions: Array.from(
            { length: 64 },
            (_, partition) => partitions.find((each) => each.partition === partition) ?? { partition, ...none },
          ),
        }
      },
    }),
    caughtBy: ['upkeep.stats-per-partition', 'upkeep.stats', 'transactions.rollback'],
  },
  {
    breaks: 'every partition is told the age of the oldest entry of all',
    sabotage: (store) => ({
      stats: async () => {
        const { partitions, ...all } = await store.stats()
        const { oldestPendingAgeMs } = all
        return { ...all, partitions: partitions.map((each) => ({ ...each, oldestPendingAgeMs })) }
      },
    }),
    caughtBy: ['upkeep.age-per-partition', 'upkeep.stats-per-partition'],
  },
  {
    breaks: 'purge deletes the dead as well, whatever their age',
    sabotage: (store) => ({
      purge: async ({ limit }) => {
        const letters = await store.deadLetters.list({ limit: 1e6 })
        await store.deadLetters.discard(letters.map(({ entry }) => entry.id))
        return store.purge({ olderThanMs: 0, limit })
      },
    }),
    caughtBy: ['upkeep.purge', 'upkeep.purge-by-age'],
  },
  {
    breaks: 'purge goes by the age since the enqueueing',
    sabotage: (store) => {
      let oldest = Number.POSITIVE_INFINITY
      return {
        enqueue: (tx, events) => {
          oldest = Math.min(oldest, performance.now())
          return store.enqueue(tx, events)
        },
        purge: ({ olderThanMs, limit }) => {
          const isOld = performance.now() - oldest >= olderThanMs
          return store.purge({ olderThanMs: isOld ? 0 : olderThanMs, limit })
        },
      }
    },
    caughtBy: ['upkeep.purge-by-age-since-the-end'],
  },
  {
    breaks: 'purge deletes the newest first',
    sabotage: (store) => ({
      purge: async ({ limit }) => {
        const { state } = store[internals]
        const ended = [...state.rows.values()].filter(({ state: { kind } }) => kind === 'published').toReversed()
        for (const row of ended.slice(0, limit)) deleteRow(state, row)
        return Math.min(limit, ended.length)
      },
    }),
    caughtBy: ['upkeep.purge-oldest-first'],
  },
  {
    breaks: 'purge takes an age and a limit that cannot be for none',
    sabotage: (store) => ({
      purge: async (request) =>
        store.purge({ olderThanMs: Math.max(0, request?.olderThanMs || 0), limit: Math.ceil(request?.limit) || 1e6 }),
    }),
    caughtBy: ['upkeep.purge-refused'],
  },
  {
    breaks: 'purge knows no limit',
    sabotage: (store) => ({ purge: ({ olderThanMs }) => store.purge({ olderThanMs, limit: 1e6 }) }),
    caughtBy: ['upkeep.purge-in-portions'],
  },
  {
    breaks: 'an endless limit is handed to a database that takes whole ones',
    sabotage: (store) => {
      const whole = (limit: number): void => {
        if (limit === Infinity) throw new Error('datatype mismatch')
      }
      return {
        purge: async (request) => {
          whole(request.limit)
          return store.purge(request)
        },
        deadLetters: {
          ...store.deadLetters,
          list: async (page) => {
            whole(page.limit)
            return store.deadLetters.list(page)
          },
        },
      }
    },
    caughtBy: ['upkeep.purge', 'upkeep.purge-in-portions', 'dead-letters.pages'],
  },
  {
    breaks: 'purge waits for open transactions',
    hangs: ['upkeep.purge-under-load'],
    sabotage: (store) => {
      let open = 0
      return {
        enqueue: (tx, events) => {
          open += 1
          return store.enqueue(tx, events)
        },
        purge: (request) => (open > 1 ? new Promise(() => undefined) : store.purge(request)),
      }
    },
    caughtBy: ['upkeep.purge-under-load'],
  },
  {
    breaks: 'nobody is ever woken',
    sabotage: () => ({ subscribe: async () => ({ [Symbol.asyncDispose]: async () => undefined }) }),
    caughtBy: ['upkeep.wakes'],
  },
  {
    breaks: 'there is no subscription, and nobody says so',
    sabotage: (): object => ({ subscribe: undefined }),
    caughtBy: ['upkeep.wakes', 'upkeep.subscription'],
  },
  {
    breaks: 'who waits is woken before the commit, and not after it',
    sabotage: (store) => {
      let wake = (): void => undefined
      return {
        enqueue: async (tx, events) => {
          const receipts = await store.enqueue(tx, events)
          wake()
          return receipts
        },
        subscribe: async (subscriber) => {
          wake = subscriber
          return { [Symbol.asyncDispose]: async () => undefined }
        },
      }
    },
    caughtBy: ['upkeep.wakes'],
  },
  {
    breaks: 'a disposed subscription wakes all the same',
    sabotage: (store) => ({
      subscribe: async (wake) => {
        await store.subscribe?.(wake)
        return { [Symbol.asyncDispose]: async () => undefined }
      },
    }),
    caughtBy: ['upkeep.subscription'],
  },
  {
    breaks: 'signals are ignored',
    sabotage: (store) => withoutSignals(store),
    caughtBy: ['cancellation.before-the-call'],
  },
  {
    breaks: 'an aborted call rejects with an error of its own, and is lost for good',
    sabotage: (store) => ({
      fetch: async (request) => {
        const batch = await store.fetch(request)
        await Promise.resolve()
        if (request.signal?.aborted) throw new Error('canceled')
        return batch
      },
    }),
    caughtBy: ['cancellation.during-the-call'],
  },
  {
    breaks: 'a signal that aborts later ends the store',
    sabotage: (store) => {
      let isOver = false
      return {
        fetch: (request) => {
          request.signal?.addEventListener('abort', () => {
            isOver = true
          })
          return isOver ? Promise.reject(new Error('over')) : store.fetch(request)
        },
      }
    },
    caughtBy: ['cancellation.after-the-call', 'cancellation.during-the-call'],
  },
]

function withoutSignals(store: MemoryOutbox): Partial<MemoryOutbox> {
  const deaf = <Request extends CallOptions>(request: Request): Omit<Request, 'signal'> => {
    const { signal: _, ...rest } = request
    return rest
  }
  return { settle: (request) => store.settle(deaf(request)), check: () => store.check() }
}
