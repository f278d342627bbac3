import type { Names } from './names.ts'
import { pendingStates } from './states.ts'

/*
 * What a partition, or an aggregate, may have, asked of each of many. Plans: a look into one index. The orders leave no
 * other way: where a planner expects much of a partition, it would search the whole table for the first, and find none.
 */

/**
 * SQL: whether any aggregate of a partition has a row, because it waits, is blocked, or has entries parked.
 *
 * @param of - the alias of what has the column `partition`
 */
export function hasAggregates({ aggregates }: Pick<Names, 'aggregates'>, of: string): string {
  return hasAny(`${aggregates} a where a.partition = ${of}.partition order by a.waiting_until`)
}

/** SQL: whether any entry of a partition is pending. */
export function hasPending({ entries }: Pick<Names, 'entries'>, of: string): string {
  return hasAny(
    `${entries} e where e.partition = ${of}.partition and e.state in ${pendingStates} order by e.state, e.position`,
  )
}

/**
 * SQL: whether an aggregate has pending entries.
 *
 * @param of - the alias of what has the columns `aggregate_type` and `aggregate_id`
 * @param more - SQL: a further condition on the entry `e`
 */
export function hasEntries({ entries }: Pick<Names, 'entries'>, of: string, more: string = 'true'): string {
  return hasAny(`${entries} e
    where e.aggregate_type = ${of}.aggregate_type and e.aggregate_id = ${of}.aggregate_id
      and e.state in ${pendingStates} and ${more}
    order by e.sequence`)
}

/** A limit right inside of `exists` would be dropped, and the order with it. */
function hasAny(from: string): string {
  return `exists (select from (select from ${from} limit 1) first)`
}
