import type { DueEntry, Publisher, PublishOutcome } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import { expect } from 'vitest'

/**
 * Publishes entries in batches as a relay gives them: all at once, or, to a publisher that keeps no order in a batch, at
 * most one of each aggregate at a time, and none behind a failure. Checks that there is one outcome per entry.
 */
export async function publishAsARelay(
  publisher: Publisher,
  entries: readonly DueEntry[],
  signal: AbortSignal,
): Promise<readonly PublishOutcome[]> {
  const outcomes: PublishOutcome[] = entries.map(() => ({ status: 'notSent' }))
  let left = entries.map((entry, index) => ({ entry, index, aggregate: aggregateKey(entry) }))
  do {
    const { batch, later } = publisher.capabilities.keepsOrderInBatch ? { batch: left, later: [] } : firsts(left)
    const given = await publisher.publish(
      batch.map(({ entry }) => entry),
      { signal },
    )
    expect(given.length, 'one outcome per entry').toBe(batch.length)
    const stopped = new Set<string>()
    for (const [at, outcome] of given.entries()) {
      const each = batch[at]
      if (!each) continue
      outcomes[each.index] = outcome
      if (outcome.status !== 'published') stopped.add(each.aggregate)
    }
    left = later.filter(({ aggregate }) => !stopped.has(aggregate))
  } while (left.length > 0)
  return outcomes
}

/** The first of each aggregate, and the rest. */
function firsts<Each extends { readonly aggregate: string }>(all: readonly Each[]) {
  const seen = new Set<string>()
  const batch: Each[] = []
  const later: Each[] = []
  for (const each of all) {
    const list = seen.has(each.aggregate) ? later : batch
    list.push(each)
    seen.add(each.aggregate)
  }
  return { batch, later }
}
