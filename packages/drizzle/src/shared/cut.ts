import type { FetchRequest } from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'

/** What the cut needs to know of an entry. */
export interface Cuttable {
  readonly position: number
  readonly payloadBytes: number
  readonly crashes: number
}

/**
 * Takes the first entry of every aggregate, then the second of every one, and so on, until the batch is full. An
 * aggregate ends at an entry that does not fit any more, and before one that a relay may have died of.
 *
 * @returns aggregates by age, the entries of each in sequence
 */
export function cut<Place extends Cuttable>(
  prefixes: readonly (readonly Place[])[],
  { limit, maxBytes }: Pick<FetchRequest, 'limit' | 'maxBytes'>,
): readonly Place[] {
  const aggregates = prefixes.map((prefix) => ({ prefix, taken: [] as Place[] }))
  let open = aggregates
  let count = 0
  let bytes = 0
  while (open.length > 0 && count < limit) {
    open = open.filter(({ prefix, taken }) => {
      const place = prefix[taken.length]
      if (!place || count >= limit || (place.crashes >= suspectAt && taken.length > 0)) return false
      if (count > 0 && bytes + place.payloadBytes > maxBytes) return false
      taken.push(place)
      count += 1
      bytes += place.payloadBytes
      return true
    })
  }
  return aggregates
    .map(({ taken }) => taken)
    .sort(([a], [b]) => (a?.position ?? 0) - (b?.position ?? 0))
    .flat()
}
