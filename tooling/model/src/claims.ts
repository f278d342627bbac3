import type { Enqueueable } from '@outbox/core'
import { aggregateKey, entriesFrom } from '@outbox/core/adapter'

/** An event, and what two open transactions cannot both write of it. */
export interface Claim {
  readonly event: Enqueueable
  readonly id: string
  readonly aggregate: string
  /** the caller numbers it */
  readonly isNumbered: boolean
  /** its id, and its number or the aggregate's next one */
  readonly names: readonly string[]
}

/** The events of these histories bring their ids. */
export function claimsOf(events: readonly Enqueueable[]): readonly Claim[] {
  return events.flatMap((event) =>
    entriesFrom(event, { newId: () => '', now: Date.now }).map((entry) => {
      const aggregate = aggregateKey(entry)
      const number = entry.sequence === undefined ? `the next of ${aggregate}` : `${entry.sequence} of ${aggregate}`
      return {
        event,
        id: entry.id,
        aggregate,
        isNumbered: entry.sequence !== undefined,
        names: [`id ${entry.id}`, number],
      }
    }),
  )
}
