import { describe } from 'vitest'
import { registerTopics } from '../check.ts'
import { namedCapabilities } from '../transactions.ts'
import { withStoreContext } from './context.ts'
import type { StoreHarness } from './harness.ts'
import { storeTopics } from './topics.ts'

/**
 * Registers the whole store suite with vitest: a store that passes can be relayed, losing nothing and keeping order.
 *
 * Every check opens an outbox of its own, so checks may run at once if `open` allows it. Only what the harness
 * declares as left out is skipped, and each skipped check says so in its name.
 */
export function describeStore<Tx>(name: string, harness: StoreHarness<Tx>): void {
  describe(name, () => {
    registerTopics(storeTopics, namedCapabilities(harness.capabilities), (work) => withStoreContext(harness, work))
  })
}
