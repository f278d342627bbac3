import { groupedBy } from './grouped.ts'

/** Indexes of the entries of each aggregate, in the order given. */
export function groupByAggregate(
  entries: readonly { readonly aggregateType: string; readonly aggregateId: string }[],
): readonly (readonly number[])[] {
  const groups = groupedBy(entries.entries(), ([, entry]) => aggregateKey(entry))
  return [...groups.values()].map((group) => group.map(([index]) => index))
}

/** One string per aggregate; 0x1F stands in no name. */
export function aggregateKey(entry: { readonly aggregateType: string; readonly aggregateId: string }): string {
  return `${entry.aggregateType}\u001f${entry.aggregateId}`
}
