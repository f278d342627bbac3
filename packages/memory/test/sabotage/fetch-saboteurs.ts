import { heldLeases } from './held-leases.ts'
import { many } from './many.ts'
import type { Saboteur } from './run-check.ts'

/** Stores that lend the wrong entries, too many, or in the wrong order. */
export const fetchSaboteurs: readonly Saboteur[] = [
  {
    breaks: 'fetch orders by position alone',
    sabotage: (store) => ({
      fetch: async (request) => {
        const all = await store.fetch({ ...request, limit: 1e6, limitPerAggregate: 1e6, maxBytes: 1e12 })
        const positions = (await store.fetchUnpublished(1e6)).map(({ id }) => id)
        const inOrder = all.toSorted((a, b) => positions.indexOf(a.id) - positions.indexOf(b.id))
        return inOrder.slice(0, request.limit)
      },
    }),
    caughtBy: ['order.two-enqueues-reversed', 'order.prefix-by-sequence', 'order.waited', 'order.prefix-of-all'],
  },
  {
    breaks: 'fetch orders by id',
    sabotage: (store) => ({
      fetch: async (request) => (await store.fetch(request)).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    }),
    caughtBy: ['order.one-enqueue-reversed', 'order.two-enqueues-reversed', 'order.waited', 'order.skewed-clocks'],
  },
  {
    breaks: 'whether an entry is late is found out when it is enqueued, not when it is lent',
    sabotage: (store) => {
      const highest = new Map<string, number>()
      const late = new Set<string>()
      return {
        enqueue: async (tx, events) => {
          const receipts = await store.enqueue(tx, events)
          const batch = many(events)
          receipts.forEach(({ id, sequence }, index) => {
            if (sequence < (highest.get(batch[index]?.aggregateId ?? '') ?? 0)) late.add(id)
          })
          return receipts
        },
        fetch: async (request) =>
          (await store.fetch(request)).map((entry) => ({ ...entry, isLate: late.has(entry.id) })),
        settle: (request) => {
          for (const { entry, outcome } of request.settlements) {
            if (outcome === 'published') highest.set(entry.aggregateId, entry.sequence)
          }
          return store.settle(request)
        },
      }
    },
    caughtBy: ['order.late-commit-is-late'],
  },
  {
    breaks: 'fetch gives the newest first',
    sabotage: (store) => ({ fetch: async (request) => (await store.fetch(request)).toReversed() }),
    caughtBy: ['order.ascending-in-a-batch', 'order.oldest-first', 'under-load.backlog'],
  },
  {
    breaks: 'a fetch under no lease lends everything',
    sabotage: (store) => ({
      fetch: async (request) =>
        store.fetch({ ...request, leases: request.leases.length > 0 ? request.leases : await heldLeases(store) }),
    }),
    caughtBy: ['limits.no-leases'],
  },
  {
    breaks: 'fetch remembers how far it has read',
    sabotage: (store) => {
      const seen = new Set<string>()
      return {
        fetch: async (request) => {
          const batch = (await store.fetch(request)).filter(({ id }) => !seen.has(id))
          for (const { id } of batch) seen.add(id)
          return batch
        },
      }
    },
    caughtBy: ['order.repeatable', 'order.head-unsettled', 'waiting.at-once', 'dead-letters.requeue'],
  },
  {
    breaks: 'what was tried before comes after what was not',
    sabotage: (store) => ({
      fetch: async (request) => (await store.fetch(request)).toSorted((a, b) => a.attempt - b.attempt),
    }),
    caughtBy: ['under-load.failures'],
  },
  {
    breaks: 'now and then a fetch passes over the head of an aggregate',
    sabotage: (store) => {
      let calls = 0
      return {
        fetch: async (request) => {
          calls += 1
          const batch = await store.fetch(request)
          return calls % 7 === 0 ? batch.slice(1) : batch
        },
      }
    },
    caughtBy: ['under-load.order'],
  },
  {
    breaks: 'fetch passes over what was committed below its highest position',
    sabotage: (store) => {
      let highest = -1
      let known: string[] = []
      return {
        fetch: async (request) => {
          const rows = await store.fetchUnpublished(1e6)
          known = [...known, ...rows.map(({ id }) => id).filter((id) => !known.includes(id))]
          const isNew = (id: string): boolean => known.indexOf(id) > highest
          const batch = (await store.fetch(request)).filter(
            ({ id, aggregateId }) => isNew(id) && aggregateId !== 'late',
          )
          highest = Math.max(highest, ...batch.map(({ id }) => known.indexOf(id)))
          return batch
        },
      }
    },
    caughtBy: ['order.late-commit-is-found'],
  },
  {
    breaks: 'the limit per aggregate is ignored',
    sabotage: (store) => ({ fetch: (request) => store.fetch({ ...request, limitPerAggregate: 1e6 }) }),
    caughtBy: ['fairness.limit', 'fairness.hot-aggregate', 'order.prefix-by-sequence'],
  },
  {
    breaks: 'the limit is ignored',
    sabotage: (store) => ({ fetch: (request) => store.fetch({ ...request, limit: 1e6 }) }),
    caughtBy: ['fairness.limit', 'order.prefix-by-sequence', 'order.oldest-first'],
  },
  {
    breaks: 'the limit of bytes is ignored',
    sabotage: (store) => ({ fetch: (request) => store.fetch({ ...request, maxBytes: 1e12 }) }),
    caughtBy: ['limits.max-bytes', 'limits.larger-than-the-limit', 'limits.bytes-not-characters'],
  },
  {
    breaks: 'bytes are counted as characters',
    sabotage: (store) => ({
      fetch: async (request) => {
        const all = await store.fetch({ ...request, maxBytes: 1e12 })
        let size = 0
        return all.filter(({ payload }, index) => {
          size += payload.length
          return size <= request.maxBytes || index === 0
        })
      },
    }),
    caughtBy: ['limits.bytes-not-characters'],
  },
  {
    breaks: 'what is too large is passed over, and what follows it is lent',
    sabotage: (store) => ({
      fetch: async (request) => {
        const all = await store.fetch({ ...request, maxBytes: 1e12 })
        let size = 0
        return all.filter(({ payload }) => {
          const fits = size + payload.length <= request.maxBytes
          if (fits) size += payload.length
          return fits
        })
      },
    }),
    caughtBy: ['limits.prefix-under-bytes', 'limits.larger-than-the-limit'],
  },
  {
    breaks: 'a full partition keeps the others out',
    sabotage: (store) => ({
      fetch: async (request) => {
        const all = await store.fetch({ ...request, limit: 1e6 })
        const positions = (await store.fetchUnpublished(1e6)).map(({ id }) => id)
        return all.toSorted((a, b) => positions.indexOf(a.id) - positions.indexOf(b.id)).slice(0, request.limit)
      },
    }),
    caughtBy: ['fairness.hot-partition'],
  },
  {
    breaks: 'blocked and waiting entries fill the batch',
    sabotage: (store) => ({
      fetch: async (request) => {
        const first = (await store.fetchUnpublished(request.limit)).map(({ id }) => id)
        return (await store.fetch(request)).filter(({ id }) => first.includes(id))
      },
    }),
    caughtBy: ['fairness.blocked-backlog', 'fairness.waiting-backlogs'],
  },
  {
    breaks: 'a relay is lent entries of partitions that others hold',
    sabotage: (store) => ({
      fetch: async (request) => {
        const { leases } = await store.poll({ holder: '' })
        const all = leases.flatMap((lease) => (lease.holder === null ? [] : [{ ...lease, holder: lease.holder }]))
        return request.leases.length > 0 ? store.fetch({ ...request, leases: all }) : []
      },
    }),
    caughtBy: ['fairness.only-leased-partitions', 'fencing.fetch'],
  },
]
