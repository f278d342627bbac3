/** `order-1#2`: aggregate and sequence of each entry, in order. */
export function places(
  entries: readonly { readonly aggregateId: string; readonly sequence: number }[],
): readonly string[] {
  return entries.map(({ aggregateId, sequence }) => `${aggregateId}#${sequence}`)
}
