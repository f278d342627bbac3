import type { Settlement } from '../store.ts'

/** For stores: what is said first about an entry counts, as in two calls; in the order given. */
export function firstWords(settlements: readonly Settlement[]): readonly Settlement[] {
  const said = new Map<string, Settlement>()
  for (const settlement of settlements) {
    const { id, lease } = settlement.entry
    const key = `${id} ${lease.partition} ${lease.epoch} ${lease.holder}`
    if (!said.has(key)) said.set(key, settlement)
  }
  return [...said.values()]
}
