import { inWriteOrder, type NewEntry, type Receipt } from '@outbox/core'

/** The entries to write, in the order to write them: of those that share an id, the first. */
export function entriesToWrite(entries: readonly NewEntry[]): readonly NewEntry[] {
  const byId = new Map<string, NewEntry>()
  for (const entry of inWriteOrder(entries)) if (!byId.has(entry.id)) byId.set(entry.id, entry)
  return [...byId.values()]
}

/** What the store found out about one id. */
export interface Stored {
  readonly sequence: number
  readonly isNew: boolean
}

/** Receipts in the order the events were given; a second one with an id of the same batch is a duplicate. */
export function receiptsFor(
  entries: readonly NewEntry[],
  written: readonly NewEntry[],
  stored: ReadonlyMap<string, Stored>,
): readonly Receipt[] {
  const firsts = new Set(written)
  return entries.map((entry) => {
    const found = stored.get(entry.id)
    if (!found) throw new RangeError(`The store says nothing about the entry ${entry.id}.`)
    return { id: entry.id, sequence: found.sequence, duplicate: !(found.isNew && firsts.has(entry)) }
  })
}
