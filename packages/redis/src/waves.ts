import type { DueEntry } from '@outbox/core'

/** Entries of one batch for one stream, from one outbox: what one script call writes. */
export interface Group {
  readonly stream: string
  readonly source: string
  /** places in the batch, ascending */
  readonly indexes: readonly number[]
}

/** An entry whose stream could not be named. */
export interface Unroutable {
  readonly index: number
  readonly error: unknown
}

export interface Wave {
  readonly groups: readonly Group[]
  readonly unroutable: readonly Unroutable[]
  /** per aggregate: how many of its entries are in this wave */
  readonly taken: readonly number[]
}

/**
 * Decides what is sent side by side: of every aggregate, the run of its next entries that go to one stream.
 *
 * So no entry is sent before the one above it is known to be in its stream, be it another stream; and a batch whose
 * aggregates have one stream each, which is the common case, is one wave.
 *
 * @param aggregates - per aggregate, the places of the entries still to be sent, in order
 * @param streamOf - may throw
 */
export function nextWave(
  entries: readonly DueEntry[],
  aggregates: readonly (readonly number[])[],
  streamOf: (entry: DueEntry) => string,
): Wave {
  const groups = new Map<string, { stream: string; source: string; indexes: number[] }>()
  const unroutable: Unroutable[] = []
  const taken = aggregates.map((indexes) => {
    let destination: string | undefined
    let count = 0
    for (const index of indexes) {
      const entry = entries[index]
      if (entry === undefined) break
      let stream: string
      try {
        stream = streamOf(entry)
      } catch (error) {
        // behind others of its aggregate it is asked again, when those are through
        if (count === 0) unroutable.push({ index, error })
        break
      }
      const key = JSON.stringify([stream, entry.source])
      destination ??= key
      if (key !== destination) break
      const group = groups.get(key)
      if (group) group.indexes.push(index)
      else groups.set(key, { stream, source: entry.source, indexes: [index] })
      count += 1
    }
    return count
  })
  for (const { indexes } of groups.values()) indexes.sort((a, b) => a - b)
  return { groups: [...groups.values()], unroutable, taken }
}
