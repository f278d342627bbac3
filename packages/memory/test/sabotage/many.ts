import type { Enqueueable } from '@outbox/core'

/** What `enqueue` was given, as a list. */
export function many(events: Enqueueable | readonly Enqueueable[]): readonly Enqueueable[] {
  return Array.isArray(events) ? events : [events as Enqueueable]
}
