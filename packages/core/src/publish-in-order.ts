import { groupByAggregate } from './aggregates.ts'
import type { DueEntry } from './entry.ts'
import type { PublishOutcome } from './publisher.ts'

/**
 * For publishers that send one entry at a time: up to `width` aggregates side by side, the entries of each one after the
 * other, until one of them is not published or `signal` aborts. What follows is `notSent`.
 *
 * @param sendOne - must not reject
 * @returns one outcome per entry, in the order given
 */
export async function publishInOrder(
  entries: readonly DueEntry[],
  { width, signal }: { readonly width: number; readonly signal: AbortSignal },
  sendOne: (entry: DueEntry) => Promise<PublishOutcome>,
): Promise<readonly PublishOutcome[]> {
  const outcomes = new Array<PublishOutcome>(entries.length).fill({ status: 'notSent' })
  const aggregates = groupByAggregate(entries)
  const waiting = aggregates.values() // one iterator: each aggregate is taken once, by whoever is free
  const sendAggregates = async (): Promise<void> => {
    for (const indexes of waiting) {
      for (const index of indexes) {
        const entry = entries[index]
        if (signal.aborted || !entry) break
        const outcome = await sendOne(entry)
        outcomes[index] = outcome
        if (outcome.status !== 'published') break
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, aggregates.length) }, sendAggregates))
  return outcomes
}
