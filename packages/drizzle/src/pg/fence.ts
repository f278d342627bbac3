import type { Lease } from '@outbox/core'
import { arrayOf, type Statement, type Value } from './statement.ts'

/**
 * SQL for those of the given leases that stand, locked: the fence of every write under a lease. In `nth` stands which
 * of those given it is, from 1 on.
 *
 * `acquire` takes the same locks, so whatever joins these rows happens wholly before a lease is taken over, or not at
 * all. That they are locked, and joined, is what makes it hold: after a wait PostgreSQL looks again at a row that it
 * locks, but not at one inside an `exists`. Locks are taken in the order of partitions, here and everywhere.
 *
 * @param first - the first of three placeholders, filled by `leaseValues`
 * @param condition - a `where` clause of the caller's
 */
export function standingLeases(leases: string, first: number, condition: string = ''): string {
  return `select l.partition, l.epoch, l.holder, given.nth
  from ${leases} l
  join unnest($${first}::text::smallint[], $${first + 1}::text::bigint[], $${first + 2}::text::text[])
    with ordinality as given (partition, epoch, holder, nth) using (partition, epoch, holder)
  ${condition}
  order by l.partition
  for update of l`
}

/**
 * SQL, true: the transaction that it stands in does not wait for the disk, nor for a standby, when it commits.
 *
 * For a fetch: if what it noted goes down with the server, it is as if nobody had fetched. What it read was committed,
 * by others, as safely as they wanted it.
 */
export const commitsAtOnce = "(select set_config('synchronous_commit', 'off', true)) is not null"

/** The same, where it may stand in a transaction of the application's, whose commit is not ours to hurry. */
export function withDurableCommit(statement: Statement): Statement {
  return { ...statement, text: statement.text.replace(commitsAtOnce, 'true') }
}

export function leaseValues(leases: readonly Lease[]): readonly [Value, Value, Value] {
  return [
    arrayOf(leases.map((lease) => lease.partition)),
    arrayOf(leases.map((lease) => lease.epoch)),
    arrayOf(leases.map((lease) => lease.holder)),
  ]
}
