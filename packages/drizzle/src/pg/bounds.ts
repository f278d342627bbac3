import { type FetchRequest, partitionCount } from '@outbox/core'
import { type Value, whole } from './statement.ts'

/** entries in all fronts, for each that is wanted: as a rule no deeper look is needed */
const frontForLimit = 1.1

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

export function boundsOf(request: FetchRequest, smallestFront: number): Bounds {
  const limit = whole(request.limit)
  const share = (frontForLimit * limit) / Math.min(request.leases.length, partitionCount)
  const values = [
    limit,
    Math.max(smallestFront, Math.ceil(share)),
    Math.max(1, whole(request.limitPerAggregate)),
    whole(request.maxBytes),
  ]
  return {
    limit: '(select $4::text::bigint)',
    front: '(select $5::text::bigint)',
    limitPerAggregate: '(select $6::text::bigint)',
    maxBytes: '(select $7::text::bigint)',
    values: values.map(String),
  }
}
