import { describe } from 'vitest'
import { registerTopics } from '../check.ts'
import { namedCapabilities } from '../transactions.ts'
import { withInboxContext } from './context.ts'
import type { InboxHarness } from './harness.ts'
import { inboxTopics } from './topics.ts'

/**
 * Registers the whole inbox suite with vitest: an inbox that passes applies each message once per consumer.
 *
 * Every check opens an inbox of its own, so checks may run at once if `open` allows it. Only what the harness declares
 * as left out is skipped, and each skipped check says so in its name.
 */
export function describeInbox<Tx>(name: string, harness: InboxHarness<Tx>): void {
  describe(name, () => {
    registerTopics(inboxTopics, namedCapabilities(harness.capabilities), (work) => withInboxContext(harness, work))
  })
}
