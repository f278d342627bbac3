import type { Settlement } from '../store.ts'

/** For stores: what a settle says first of an entry's try, under a lease, counts; in the order given. */
export function firstWords(settlements: readonly Settlement[]): readonly Settlement[] {
  const said = new Map<string, Settlement>()
  for (const settlement of settlements) {
    const { attempt, deduplicationId, lease } = settlement.entry
    const key = `${deduplicationId} ${attempt} ${lease.partition} ${lease.epoch} ${lease.holder}`
    if (!said.has(key)) said.set(key, settlement)
  }
  return [...said.values()]
}
