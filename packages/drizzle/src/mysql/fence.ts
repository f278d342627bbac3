import type { Lease } from '@outbox/core'
import { byKey } from './indexes.ts'
import { textLiteral, whole } from './literals.ts'

/**
 * SQL for a table `fence` of one row, which says how many of the given leases stand; they are locked until the
 * statement ends.
 *
 * This is the fence of every write under a lease: `acquire` takes the same locks, so a statement that begins with this
 * table, and does nothing unless all the leases stand, happens wholly before a lease is taken over, or not at all. A
 * locking read sees what stands now, at every isolation level.
 */
export function fenceOf(leases: string, given: readonly Lease[]): string {
  return `(
    select count(*) as standing from ${leases} ${byKey} where ${standingCondition(given)} for update
  ) fence`
}

/** The condition on a row of the leases to be one of those given. Never called without any. */
export function standingCondition(given: readonly Lease[], alias = ''): string {
  const column = (name: string): string => (alias === '' ? name : `${alias}.${name}`)
  const conditions = given.map(
    ({ partition, epoch, holder }) =>
      `(${column('`partition`')} = ${whole(partition)} and ${column('epoch')} = ${whole(epoch)} and ${column('holder')} = ${textLiteral(holder)})`,
  )
  return `(${conditions.join(' or ')})`
}

/** Each lease once, by partition: locks are taken in one order everywhere. */
export function distinctLeases(leases: readonly Lease[]): readonly Lease[] {
  const byLease = new Map(leases.map((lease) => [leaseKey(lease), lease]))
  return [...byLease.values()].sort((a, b) => a.partition - b.partition)
}

export function leaseKey({ partition, epoch, holder }: Lease): string {
  return `${partition} ${epoch} ${holder}`
}
