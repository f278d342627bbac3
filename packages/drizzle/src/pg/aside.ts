import type { Names } from './names.ts'
import { isAny, isThere } from './plans.ts'
import { pendingStates } from './states.ts'

/* What a partition, or an aggregate, may have, asked of each of many: a look into one index. */

/**
 * SQL: whether any aggregate of a partition has a row, because it waits, is blocked, or has entries parked.
 *
 * @param of - the alias of what has the column `partition`
 */
export function hasAggregates({ aggregates }: Pick<Names, 'aggregates'>, of: string): string {
  return isAny({ from: `${aggregates} a`, where: `a.partition = ${of}.partition`, orderBy: 'a.waiting_until' })
}

/**
 * SQL: whether an aggregate has a row, likewise.
 *
 * @param of - the alias of what has the columns `aggregate_type` and `aggregate_id`
 * @param more - SQL: a further condition on the row `held`
 */
export function hasRow({ aggregates }: Pick<Names, 'aggregates'>, of: string, more?: string): string {
  const key = { 'held.aggregate_type': `${of}.aggregate_type`, 'held.aggregate_id': `${of}.aggregate_id` }
  return isThere(`${aggregates} held`, key, more)
}

/** SQL: whether any entry of a partition is pending. */
export function hasPending({ entries }: Pick<Names, 'entries'>, of: string): string {
  return isAny({
    from: `${entries} e`,
    where: `e.partition = ${of}.partition and e.state in ${pendingStates}`,
    orderBy: 'e.state, e.position',
  })
}

/**
 * SQL: whether an aggregate has pending entries.
 *
 * @param of - the alias of what has the columns `aggregate_type` and `aggregate_id`
 * @param more - SQL: a further condition on the entry `e`
 */
export function hasEntries({ entries }: Pick<Names, 'entries'>, of: string, more: string = 'true'): string {
  return isAny({
    from: `${entries} e`,
    where: `e.aggregate_type = ${of}.aggregate_type and e.aggregate_id = ${of}.aggregate_id
      and e.state in ${pendingStates} and ${more}`,
    orderBy: 'e.sequence',
  })
}
