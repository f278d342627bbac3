import { aggregateKey } from '@outbox/core/adapter'
import { internals } from '../../src/memory-outbox.ts'
import type { Saboteur } from './run-check.ts'

/** Stores that lose dead letters, or give them the wrong life. */
export const deadLetterSaboteurs: readonly Saboteur[] = [
  {
    breaks: 'a requeued letter comes back at the end, under another id',
    sabotage: (store) => ({
      deadLetters: {
        ...store.deadLetters,
        requeue: async (ids) => {
          const letters = await store.deadLetters.list({ limit: 1e6 })
          const again = letters.filter(({ entry }) => ids.includes(entry.id))
          await store.deadLetters.discard(again.map(({ entry }) => entry.id))
          await store.transaction((tx) =>
            store.enqueue(
              tx,
              again.map(({ entry }) => ({
                type: entry.eventType,
                aggregateId: entry.aggregateId,
                payload: JSON.parse(entry.payload),
              })),
            ),
          )
          return again.length
        },
      },
    }),
    caughtBy: [
      'dead-letters.requeue',
      'dead-letters.requeue-keeps-the-place',
      'dead-letters.deduplication-id',
      'order.block-in-the-middle',
    ],
  },
  {
    breaks: 'a requeued letter keeps its id for deduplication',
    sabotage: (store) => ({
      fetch: async (request) => (await store.fetch(request)).map((entry) => ({ ...entry, deduplicationId: entry.id })),
    }),
    caughtBy: ['dead-letters.deduplication-id'],
  },
  {
    breaks: 'requeue and discard count what they were given',
    sabotage: (store) => ({
      deadLetters: {
        ...store.deadLetters,
        requeue: async (ids) => {
          await store.deadLetters.requeue(ids)
          return ids.length
        },
        discard: async (ids) => {
          await store.deadLetters.discard(ids)
          return ids.length
        },
      },
    }),
    caughtBy: ['dead-letters.other-ids', 'dead-letters.two-operators', 'dead-letters.discard'],
  },
  {
    breaks: 'discard leaves the letter dead',
    sabotage: (store) => ({ deadLetters: { ...store.deadLetters, discard: async (ids) => ids.length } }),
    caughtBy: ['dead-letters.discard', 'idempotency.after-the-end', 'upkeep.purge'],
  },
  {
    breaks: 'discard makes its aggregate due, whatever else it waits for',
    sabotage: (store) => ({
      deadLetters: {
        ...store.deadLetters,
        discard: async (ids) => {
          await store.deadLetters.requeue(ids)
          await store.markPublished(ids)
          return ids.length
        },
      },
    }),
    caughtBy: ['dead-letters.discard-ends-only-its-own-block'],
  },
  {
    breaks: 'a requeued letter opens its aggregate, though another one blocks it',
    sabotage: (store) => ({
      deadLetters: {
        ...store.deadLetters,
        requeue: async (ids) => {
          const { rows, aggregates } = store[internals].state
          for (const id of ids) {
            const row = rows.get(id)
            const letters = row?.state.kind === 'dead' ? aggregates.get(aggregateKey(row.entry))?.dead : undefined
            for (const letter of letters ?? []) {
              if (letter.state.kind === 'dead') letter.state = { ...letter.state, blocksAggregate: false }
            }
          }
          return store.deadLetters.requeue(ids)
        },
      },
    }),
    caughtBy: ['dead-letters.requeue-ends-only-its-own-block'],
  },
  {
    breaks: 'of what is held up behind one entry, the first thousand come back',
    sabotage: (store) => {
      const lost = new Set<string>()
      return {
        fetch: async (request) => (await store.fetch(request)).filter(({ id }) => !lost.has(id)),
        settle: async (request) => {
          const pending = await store.fetchUnpublished(1e6)
          for (const each of request.settlements) {
            const holdsUp = each.outcome === 'dead' ? each.blocksAggregate : each.outcome === 'retry'
            const { aggregateId } = each.entry
            const held = holdsUp ? pending.filter((entry) => entry.aggregateId === aggregateId) : []
            for (const { id } of held.slice(1000)) lost.add(id)
          }
          return store.settle(request)
        },
      }
    },
    caughtBy: ['dead-letters.large-backlog', 'waiting.large-backlog'],
  },
  {
    breaks: 'ids in capitals are other ids',
    sabotage: (store) => {
      const isKnown = (id: string): boolean => id === id.toLowerCase()
      return {
        markPublished: (ids) => store.markPublished(ids.filter(isKnown)),
        deadLetters: {
          ...store.deadLetters,
          requeue: (ids) => store.deadLetters.requeue(ids.filter(isKnown)),
          discard: (ids) => store.deadLetters.discard(ids.filter(isKnown)),
          list: async (page) => (isKnown(page.after ?? '') ? store.deadLetters.list(page) : []),
        },
      }
    },
    caughtBy: ['dead-letters.case-of-the-id'],
  },
  {
    breaks: 'of a thousand ids in one call, the rest is forgotten',
    sabotage: (store) => ({
      markPublished: (ids) => store.markPublished(ids.slice(0, 1000)),
      deadLetters: { ...store.deadLetters, requeue: (ids) => store.deadLetters.requeue(ids.slice(0, 1000)) },
    }),
    caughtBy: ['trait.mark-many', 'dead-letters.many'],
  },
  {
    breaks: 'the list of dead letters knows no pages',
    sabotage: (store) => ({
      deadLetters: { ...store.deadLetters, list: () => store.deadLetters.list({ limit: 1e6 }) },
    }),
    caughtBy: ['dead-letters.pages'],
  },
  {
    breaks: 'after an unknown id the list of dead letters begins anew',
    sabotage: (store) => ({
      deadLetters: {
        ...store.deadLetters,
        list: ({ after, ...page }) =>
          after !== undefined && store[internals].state.rows.has(after)
            ? store.deadLetters.list({ ...page, after })
            : store.deadLetters.list(page),
      },
    }),
    caughtBy: ['dead-letters.pages'],
  },
  {
    breaks: 'a page begins at the number of letters before it',
    sabotage: (store) => {
      const pages: string[] = []
      return {
        deadLetters: {
          ...store.deadLetters,
          list: async ({ after, limit }) => {
            const offset = after === undefined ? 0 : pages.indexOf(after) + 1
            const page = (await store.deadLetters.list({ limit: 1e6 })).slice(offset, offset + limit)
            pages.push(...page.map(({ entry }) => entry.id))
            return page
          },
        },
      }
    },
    caughtBy: ['dead-letters.pages-while-requeued'],
  },
  {
    breaks: 'a dead letter loses its reason',
    sabotage: (store) => ({
      deadLetters: {
        ...store.deadLetters,
        list: async (page) => (await store.deadLetters.list(page)).map((letter) => ({ ...letter, reason: 'failed' })),
      },
    }),
    caughtBy: ['dead-letters.list', 'dead-letters.odd-reasons', 'settling.the-end-stays'],
  },
  {
    breaks: 'a dead letter names who holds its partition now',
    sabotage: (store) => ({
      deadLetters: {
        ...store.deadLetters,
        list: async (page) => {
          const { leases } = await store.poll({ holder: '' })
          return (await store.deadLetters.list(page)).map((letter) => ({
            ...letter,
            holder: leases[letter.entry.partition]?.holder ?? '',
          }))
        },
      },
    }),
    caughtBy: ['dead-letters.holder'],
  },
  {
    breaks: 'settle fails on a reason with odd characters',
    sabotage: (store) => ({
      settle: async (request) => {
        for (const each of request.settlements) {
          if (each.outcome === 'dead' && each.reason.includes('\u0000')) throw new Error('invalid byte sequence: 0x00')
        }
        return store.settle(request)
      },
    }),
    caughtBy: ['dead-letters.odd-reasons'],
  },
  {
    breaks: 'the dead are lent again to the next relay',
    sabotage: (store) => ({
      acquire: async (request) => {
        const letters = await store.deadLetters.list({ limit: 1e6 })
        if (request.evict.length > 0) await store.deadLetters.requeue(letters.map(({ entry }) => entry.id))
        return store.acquire(request)
      },
    }),
    caughtBy: ['dead-letters.not-lent'],
  },
]
