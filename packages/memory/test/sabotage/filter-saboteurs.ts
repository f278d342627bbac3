import type { DeadLetterFilter, DeadLetters } from '@outbox/core'
import { bulkDeadLetters } from '@outbox/core/adapter'
import type { MemoryOutbox } from '../../src/index.ts'
import type { Saboteur } from './run-check.ts'

/** Stores that take the wrong dead letters for those that fit. */
export const filterSaboteurs: readonly Saboteur[] = [
  {
    breaks: 'the filter is ignored',
    sabotage: (store) => filtering(store, () => ({})),
    caughtBy: [
      'dead-letters-by-filter.fields',
      'dead-letters-by-filter.died-before',
      'dead-letters-by-filter.pages',
      'dead-letters-by-filter.requeue-all',
      'dead-letters-by-filter.discard-all',
    ],
  },
  {
    breaks: 'of a filter only the first thing that it names counts',
    sabotage: (store) => filtering(store, (where) => Object.fromEntries(Object.entries(where).slice(0, 1))),
    caughtBy: ['dead-letters-by-filter.fields', 'dead-letters-by-filter.died-before'],
  },
  {
    breaks: 'a filter does not look at times',
    sabotage: (store) => filtering(store, ({ diedBefore: _, ...where }) => where),
    caughtBy: ['dead-letters-by-filter.died-before'],
  },
  {
    breaks: 'what a filter names wrongly, or by undefined, counts for nothing',
    sabotage: (store) => {
      const { deadLetters } = store
      return {
        deadLetters: {
          ...deadLetters,
          requeueAll: (where) => deadLetters.requeueAll(understood(where)),
          discardAll: (where) => deadLetters.discardAll(understood(where)),
        },
      }
    },
    caughtBy: ['dead-letters-by-filter.refused'],
  },
  {
    breaks: 'a page takes what a filter names wrongly for nothing',
    sabotage: (store) => ({
      deadLetters: {
        ...store.deadLetters,
        list: ({ where, ...page }) => store.deadLetters.list({ ...page, where: understood(where) }),
      },
    }),
    caughtBy: ['dead-letters-by-filter.refused'],
  },
  {
    breaks: 'a filter folds case and trims blanks, as a collation does',
    sabotage: (store) =>
      listing(store, async ({ where = {}, limit, ...page }) => {
        const letters = await store.deadLetters.list({ ...page, limit: 1e6 })
        const fold = (text: string): string => text.trim().toLowerCase()
        const fits = (named: string | undefined, text: string): boolean =>
          named === undefined || fold(named) === fold(text)
        return letters
          .filter(({ entry }) => fits(where.eventType, entry.eventType))
          .filter(({ entry }) => fits(where.aggregateType, entry.aggregateType))
          .filter(({ entry }) => fits(where.aggregateId, entry.aggregateId))
          .slice(0, limit)
      }),
    caughtBy: ['dead-letters-by-filter.fields'],
  },
  {
    breaks: 'a page is cut first and filtered then',
    sabotage: (store) =>
      listing(store, async ({ where, ...page }) => {
        const letters = await store.deadLetters.list(page)
        const fitting = await store.deadLetters.list({ limit: 1e6, ...(where && { where }) })
        const ids = new Set(fitting.map(({ entry }) => entry.id))
        return letters.filter(({ entry }) => ids.has(entry.id))
      }),
    caughtBy: ['dead-letters-by-filter.pages'],
  },
  {
    breaks: 'all that fit are the first hundred',
    sabotage: (store) => ({
      deadLetters: {
        ...store.deadLetters,
        requeueAll: async (where) => store.deadLetters.requeue(await firstHundred(store, where)),
        discardAll: async (where) => store.deadLetters.discard(await firstHundred(store, where)),
      },
    }),
    caughtBy: ['dead-letters-by-filter.requeue-all', 'dead-letters-by-filter.discard-all'],
  },
  {
    breaks: 'what was listed is counted, not what was changed',
    sabotage: (store) => ({
      deadLetters: bulkDeadLetters({
        ...store.deadLetters,
        requeue: async (ids) => {
          await store.deadLetters.requeue(ids)
          return ids.length
        },
      }),
    }),
    caughtBy: ['dead-letters-by-filter.two-operators'],
  },
]

/** All of a filter that a store can make sense of. */
function understood(where: DeadLetterFilter | undefined): DeadLetterFilter {
  const { eventType, aggregateType, aggregateId, diedBefore } = where ?? {}
  const texts = { eventType, aggregateType, aggregateId }
  return {
    ...Object.fromEntries(Object.entries(texts).filter(([, text]) => typeof text === 'string')),
    ...(Number.isNaN(new Date(diedBefore ?? Number.NaN).getTime()) ? {} : { diedBefore: new Date(diedBefore ?? 0) }),
  }
}

/** Lists otherwise than the memory store, and requeues and discards by what is listed so. */
function listing(store: MemoryOutbox, list: DeadLetters['list']): { readonly deadLetters: DeadLetters } {
  return { deadLetters: bulkDeadLetters({ ...store.deadLetters, list }) }
}

function filtering(
  store: MemoryOutbox,
  change: (where: DeadLetterFilter) => DeadLetterFilter,
): { readonly deadLetters: DeadLetters } {
  return listing(store, ({ where = {}, ...page }) => store.deadLetters.list({ ...page, where: change(where) }))
}

async function firstHundred(store: MemoryOutbox, where: DeadLetterFilter): Promise<readonly string[]> {
  return (await store.deadLetters.list({ limit: 100, where })).map(({ entry }) => entry.id)
}
