import type { DueEntry, Settlement } from '@outbox/core'

/** The positions of entries that this process lent, for as long as somebody has them. */
const positions = new WeakMap<DueEntry, number>()

/** Keeps in mind where an entry stands that is lent. @returns the entry */
export function lentFrom(position: number, entry: DueEntry): DueEntry {
  positions.set(entry, position)
  return entry
}

/**
 * The position of the newest entry that is settled; undefined if one of them is a copy, or was lent by another process.
 *
 * An id can come again once its entry has ended and been purged. Its position is a later one then, so what was said
 * about the batch is not said about it. One number for all of them, because a batch is applied by one write.
 */
export function newestPosition(settlements: readonly Settlement[]): number | undefined {
  let newest = 0
  for (const { entry } of settlements) {
    const position = positions.get(entry)
    if (position === undefined) return undefined
    newest = Math.max(newest, position)
  }
  return newest
}
