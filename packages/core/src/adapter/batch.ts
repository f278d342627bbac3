import type { NewEntry } from '../entry.ts'
import { inWriteOrder } from '../new-entry.ts'
import type { Receipt } from '../outbox.ts'

/** For stores: the entries to write, in the order to write them. Of those that share an id it is the first in the batch. */
export function entriesToWrite(entries: readonly NewEntry[]): readonly NewEntry[] {
  const firsts = new Map<string, NewEntry>()
  for (const entry of entries) if (!firsts.has(entry.id)) firsts.set(entry.id, entry)
  return inWriteOrder([...firsts.values()])
}

/** What the store found out about one id. */
export interface Stored {
  readonly sequence: number
  readonly isNew: boolean
}

/** For stores: receipts in the order the events were given; a second one with an id of the same batch is a duplicate. */
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
