/** The sequences of one aggregate among the entries, in order. */
export function sequencesOf(
  entries: readonly { readonly aggregateId: string; readonly sequence: number }[],
  aggregateId: string,
): readonly number[] {
  return entries.filter((entry) => entry.aggregateId === aggregateId).map(({ sequence }) => sequence)
}

/** 1, 2, … `last` */
export function upTo(last: number): readonly number[] {
  return Array.from({ length: last }, (_, index) => index + 1)
}
