/** For stores: what the broker deduplicates on: the id, and after n requeues `id#n`, which it cannot have seen. */
export function deduplicationIdOf(id: string, requeues: number): string {
  return requeues === 0 ? id : `${id}#${requeues}`
}
