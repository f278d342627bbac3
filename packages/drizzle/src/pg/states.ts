/**
 * The states of an entry, as SQL writes them. `parked`: pending, but represented by its aggregate's row instead of
 * standing in the scan itself; only the store tells the two apart. The lists are written exactly as in the indexes'
 * predicates, which is what lets the planner use them.
 */
export const pendingStates: string = `('pending', 'parked')`
export const settledStates: string = `('published', 'discarded')`

/*
 * Plans. An outbox is drained most of the time, so that is what statistics mostly know of it. By them the indexes of the
 * pending are empty, and to read one from end to end is cheaper than to look anything up; then a backlog comes, and
 * nothing but the next ANALYZE tells the planner. So these indexes serve only a query that names the column which they
 * begin with: a condition of theirs says that it is not null, which it never is, and `=` proves that.
 */

/** SQL: the condition of the index `entries_scan`, of (partition, state, position). */
export const inScan: string = `state in ${pendingStates} and partition is not null`
/** SQL: the condition of the index `entries_order`, of (aggregate_type, aggregate_id, sequence). */
export const inOrder: string = `state in ${pendingStates} and aggregate_id is not null`

/** SQL: whether an entry that was found by its id is pending. The other states are excluded, so that no index serves. */
export function isPending(of: string): string {
  return `${of}.state <> 'dead' and ${of}.state not in ${settledStates}`
}

/** SQL: whether an entry that was found by its aggregate was published, likewise. */
export function isPublished(of: string): string {
  return `${of}.state not in ${pendingStates} and ${of}.state not in ('dead', 'discarded')`
}

/** SQL: whether an entry that was found by its id is dead, likewise. */
export function isDead(of: string): string {
  return `${of}.state not in ${pendingStates} and ${of}.state not in ${settledStates}`
}
