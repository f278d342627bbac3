import { aggregateKey, groupedBy } from '@outbox/core/adapter'
import type { Context } from './context.ts'
import { aggregateNameOf } from './entries.ts'
import { oneByOne } from './fronts.ts'
import { type Document, documentIn, numberIn } from './values.ts'

/** Entries behind those of a batch that are looked at: the dead and the discarded among them tell nothing. */
const window = 16

/**
 * For each aggregate whose caller numbers it, the highest sequence that is published above the first one lent, if there
 * is one: what is lent below it was committed late. Only what stands close behind is looked at.
 *
 * Plan: for each aggregate a short range of `sequence`.
 */
export async function publishedAbove(
  { database, names }: Context,
  lent: readonly Document[],
): Promise<ReadonlyMap<string, number>> {
  const byAggregate = groupedBy(
    lent.filter((entry) => entry['numberedBy'] === 'caller'),
    (entry) => aggregateKey(aggregateNameOf(entry)),
  )
  const queries = [...byAggregate.values()].flatMap((entries) => {
    const [first] = entries
    if (!first) return []
    const aggregate = documentIn(first, 'aggregate')
    return [
      [
        { $match: { aggregate, sequence: { $gt: numberIn(first, 'sequence') } } },
        { $sort: { sequence: 1 } },
        { $limit: entries.length + window },
        { $project: { aggregate: 1, sequence: 1, state: 1 } },
      ],
    ]
  })
  const above = new Map<string, number>()
  for (const entry of await oneByOne((pipeline) => database.aggregate('entries', pipeline), names.entries, queries)) {
    if (entry['state'] !== 'published') continue
    const key = aggregateKey(aggregateNameOf(entry))
    above.set(key, Math.max(above.get(key) ?? -1, numberIn(entry, 'sequence')))
  }
  return above
}
