import { type FetchRequest, partitionCount } from '@outbox/core'
import { type Value, whole } from './statement.ts'

/** entries read in all fronts, per entry wanted: a tenth more, so that one read fills the batch as a rule */
const frontForLimit = 1.1

/** Of one partition, or of one aggregate, a fetch reads no more at once; as a rule it reads much less. */
export const mostAtOnce = 10_000

/** How deep a front is where all partitions have about as much to lend. */
export function frontOf({ limit, leases }: FetchRequest, smallest: number): number {
  const front = Math.ceil((frontForLimit * whole(limit)) / Math.min(leases.length, partitionCount))
  return Math.min(Math.max(smallest, front), mostAtOnce)
}

/** The next depth, where a front of `front` gave `met` entries in all, too few, and `cut` partitions have more. */
export function deeperFront({ limit }: FetchRequest, front: number, met: number, cut: number): number {
  return front + Math.ceil((frontForLimit * whole(limit) - met) / cut)
}

/**
 * What bounds a fetch, as SQL, and the values behind it: those of the statement from `$4` on.
 *
 * Bound, and not written into the text, so that a fetch is the same statement whatever it asks for.
 */
export interface Bounds {
  /** entries */
  readonly limit: string
  /** entries that are read of each partition at first */
  readonly front: string
  /** entries of one aggregate */
  readonly limitPerAggregate: string
  readonly maxBytes: string
  readonly values: readonly Value[]
}

export function boundsOf(request: FetchRequest, front: number): Bounds {
  const limit = whole(request.limit)
  const values = [limit, front, Math.max(1, whole(request.limitPerAggregate)), whole(request.maxBytes)]
  return {
    limit: '(select $4::text::bigint)',
    front: '(select $5::text::bigint)',
    limitPerAggregate: '(select $6::text::bigint)',
    maxBytes: '(select $7::text::bigint)',
    values: values.map(String),
  }
}
