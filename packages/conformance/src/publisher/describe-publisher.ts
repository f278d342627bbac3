import { describe } from 'vitest'
import { registerTopics } from '../check.ts'
import { withPublisherContext } from './context.ts'
import type { PublisherHarness } from './harness.ts'
import { publisherTopics } from './topics.ts'

/**
 * Registers the whole publisher suite with vitest: a publisher that passes loses nothing and keeps order.
 *
 * Every check opens a publisher and a destination of its own. Only what the harness declares as left out is skipped,
 * and each skipped check says so in its name.
 */
export function describePublisher(name: string, harness: PublisherHarness): void {
  describe(name, () => {
    registerTopics(publisherTopics, harness.capabilities, (work) => withPublisherContext(() => harness.open(), work))
  })
}
