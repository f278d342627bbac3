import type { DueEntry, LeasedSource } from '@outbox/core'

export interface Gate {
  /** the store, for a relay */
  readonly store: LeasedSource
  open(): void
}

/**
 * Lets a relay start and take its leases, and lends it nothing before the gate is open; then as many of the entries
 * that count as are wanted, and not one more. Fetches that run at the same time share what is left.
 */
export function gated(
  store: LeasedSource,
  wanted: number = Number.POSITIVE_INFINITY,
  isCounted: (entry: DueEntry) => boolean = () => true,
): Gate {
  let left = 0
  return {
    store: {
      ...store,
      async fetch(request) {
        const limit = Math.min(request.limit, left)
        if (limit === 0) return []
        left -= limit
        let counted = 0
        try {
          const limitPerAggregate = Math.min(request.limitPerAggregate, limit)
          const entries = await store.fetch({ ...request, limit, limitPerAggregate })
          counted = entries.filter(isCounted).length
          return entries
        } finally {
          left += limit - counted
        }
      },
    },
    open() {
      left = wanted
    },
  }
}
