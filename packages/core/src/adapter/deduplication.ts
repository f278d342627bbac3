import type { DueEntry } from '../entry.ts'

/** For stores: what the broker deduplicates on: the id, and after n requeues `id#n`, which it cannot have seen. */
export function deduplicationIdOf(id: string, requeues: number): string {
  return requeues === 0 ? id : `${id}#${requeues}`
}

/** For stores: how often an entry had been requeued when it was lent. */
export function requeuesOf({ id, deduplicationId }: Pick<DueEntry, 'id' | 'deduplicationId'>): number {
  return deduplicationId.startsWith(`${id}#`) ? Number(deduplicationId.slice(id.length + 1)) : 0
}
