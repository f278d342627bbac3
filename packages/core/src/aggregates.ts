/** Indexes of the entries of each aggregate, in the order given. */
export function groupByAggregate(
  entries: readonly { readonly aggregateType: string; readonly aggregateId: string }[],
): readonly (readonly number[])[] {
  const groups = new Map<string, number[]>()
  entries.forEach((entry, index) => {
    const key = aggregateKey(entry)
    const group = groups.get(key)
    if (group) group.push(index)
    else groups.set(key, [index])
  })
  return [...groups.values()]
}

/** One string per aggregate; 0x1F stands in no name. */
export function aggregateKey(entry: { readonly aggregateType: string; readonly aggregateId: string }): string {
  return `${entry.aggregateType}\u001f${entry.aggregateId}`
}
