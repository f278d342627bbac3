import { describe } from 'vitest'
import { registerTopics } from '../check.ts'
import { namedCapabilities } from '../transactions.ts'
import { withOutboxContext } from './context.ts'
import type { OutboxHarness } from './harness.ts'
import { outboxTopics } from './topics.ts'

/**
 * Registers the suite of the trait with vitest, for an outbox that has no leases: what `describeStore` checks as far as
 * `enqueue`, `fetchUnpublished` and `markPublished` can show it.
 *
 * Every check opens an outbox of its own, so checks may run at once if `open` allows it. Only what the harness
 * declares as left out is skipped, and each skipped check says so in its name.
 */
export function describeOutbox<Tx>(name: string, harness: OutboxHarness<Tx>): void {
  describe(name, () => {
    registerTopics(outboxTopics, namedCapabilities(harness.capabilities), (work) => withOutboxContext(harness, work))
  })
}
