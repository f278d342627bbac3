import type { SQLTagStore } from 'node:sqlite'
import type { GrantedLease, Lease, LeasedSource, Poll } from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'
import { number, text } from './rows.ts'

export function join(sql: SQLTagStore, holder: string): { readonly source: string } {
  sql.run`INSERT INTO outbox_relays (holder) VALUES (${holder}) ON CONFLICT DO NOTHING`
  return { source: sourceOf(sql) }
}

export function sourceOf(sql: SQLTagStore): string {
  const row = sql.get`SELECT source FROM outbox_source`
  return row ? text(row, 'source') : ''
}

export function poll(sql: SQLTagStore, holder: string): Poll {
  const { changes } = sql.run`UPDATE outbox_relays SET beat = beat + 1 WHERE holder = ${holder}`
  const relays = sql.all`SELECT holder, beat FROM outbox_relays`
  const leases = sql.all`SELECT partition, epoch, holder FROM outbox_leases ORDER BY partition`
  const due = sql.all`SELECT DISTINCT partition FROM outbox_due ORDER BY partition`
  return {
    isMember: changes === 1,
    relays: relays.map((row) => ({ holder: text(row, 'holder'), beat: number(row, 'beat') })),
    leases: leases.map((row) => ({
      partition: number(row, 'partition'),
      epoch: number(row, 'epoch'),
      holder: row['holder'] === null ? null : text(row, 'holder'),
    })),
    duePartitions: due.map((row) => number(row, 'partition')),
  }
}

// #region acquire
export function acquire(
  sql: SQLTagStore,
  { holder, claims, evict }: Parameters<LeasedSource['acquire']>[0],
): readonly GrantedLease[] {
  for (const seen of evict) sql.run`DELETE FROM outbox_relays WHERE holder = ${seen.holder} AND beat = ${seen.beat}`
  if (!sql.get`SELECT 1 FROM outbox_relays WHERE holder = ${holder}`) return []
  const granted: GrantedLease[] = []
  for (const { partition, epoch, above = 0 } of claims) {
    const lease = sql.get`
      UPDATE outbox_leases SET epoch = max(epoch, ${above}) + 1, holder = ${holder}
      WHERE partition = ${partition} AND epoch = ${epoch}
        AND (holder IS NULL OR holder NOT IN (SELECT holder FROM outbox_relays))
      RETURNING epoch`
    if (!lease) continue
    // whoever had these in hand never said what became of them; a lease that was given back has no notes
    sql.run`
      UPDATE outbox_entries SET crashes = crashes + (state = 'pending'), in_flight = 0
      WHERE partition = ${partition} AND in_flight`
    const suspect = sql.get`
      SELECT 1 FROM outbox_entries WHERE partition = ${partition} AND state = 'pending' AND crashes >= ${suspectAt} LIMIT 1`
    granted.push({ partition, epoch: number(lease, 'epoch'), holder, hasSuspects: suspect !== undefined })
  }
  return granted.sort((a, b) => a.partition - b.partition)
}
// #endregion

export function release(sql: SQLTagStore, { holder, leases, leave }: Parameters<LeasedSource['release']>[0]): void {
  const given = standing(sql, leases).filter((lease) => lease.holder === holder)
  for (const { partition } of given) {
    sql.run`UPDATE outbox_leases SET holder = NULL WHERE partition = ${partition}`
    clearNotes(sql, partition)
  }
  if (leave) sql.run`DELETE FROM outbox_relays WHERE holder = ${holder}`
}

// #region fence
/** Those of the leases that stand. Under the write lock nothing can end them: the fence of every write under a lease. */
export function standing(sql: SQLTagStore, leases: readonly Lease[]): readonly Lease[] {
  return leases.filter(
    ({ partition, epoch, holder }) =>
      sql.get`SELECT 1 FROM outbox_leases WHERE partition = ${partition} AND epoch = ${epoch} AND holder = ${holder}`,
  )
}
// #endregion

export function clearNotes(sql: SQLTagStore, partition: number): void {
  sql.run`UPDATE outbox_entries SET in_flight = 0 WHERE partition = ${partition} AND in_flight`
}
