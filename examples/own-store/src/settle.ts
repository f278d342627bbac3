import type { SQLTagStore } from 'node:sqlite'
import type { Lease, Settlement, SettleRequest } from '@outbox/core'
import { firstWords, requeuesOf } from '@outbox/core/adapter'
import { clearNotes, standing } from './leases.ts'
import { number, type Row, text } from './rows.ts'

// #region settle
/** `LeasedSource.settle`: one lost lease does not void what is said under the others. */
export function settle(sql: SQLTagStore, request: SettleRequest): { readonly lost: readonly Lease[] } {
  for (const settlement of firstWords(request.settlements)) {
    if (standing(sql, [settlement.entry.lease]).length > 0) apply(sql, settlement)
  }
  const kept = new Set(standing(sql, request.leases))
  for (const { partition } of kept) clearNotes(sql, partition)
  return { lost: request.leases.filter((lease) => !kept.has(lease)) }
}

/** Said twice, or of an earlier attempt or life, it finds no row: the entry has ended, or a count has moved on. */
function apply(sql: SQLTagStore, settlement: Settlement): void {
  const { id, attempt, lease } = settlement.entry
  const row = sql.get`
    UPDATE outbox_entries SET crashes = 0
    WHERE id = ${id} AND partition = ${lease.partition} AND state = 'pending'
      AND refused = ${attempt - 1} AND requeues = ${requeuesOf(settlement.entry)}
    RETURNING *`
  if (!row) return
  switch (settlement.outcome) {
    case 'published':
      publish(sql, row)
      return
    case 'retry':
      sql.run`UPDATE outbox_entries SET refused = refused + ${Number(settlement.isRefusal)} WHERE id = ${id}`
      wait(sql, row, settlement.retryInMs)
      return
    case 'dead':
      sql.run`
        UPDATE outbox_entries SET state = 'dead', blocks = ${Number(settlement.blocksAggregate)},
          reason = ${settlement.reason}, settled_at = unixepoch('subsec') * 1000, settled_by = ${lease.holder}
        WHERE id = ${id}`
      wait(sql, row, 0)
  }
}

function publish(sql: SQLTagStore, row: Row): void {
  sql.run`
    UPDATE outbox_entries SET state = 'published', settled_at = unixepoch('subsec') * 1000 WHERE id = ${text(row, 'id')}`
  sql.run`
    UPDATE outbox_aggregates SET highest_published = max(highest_published, ${number(row, 'sequence')})
    WHERE aggregate_type = ${text(row, 'aggregate_type')} AND aggregate_id = ${text(row, 'aggregate_id')}`
}
// #endregion

/** The aggregate is due again after so many milliseconds, on the database's clock. */
export function wait(sql: SQLTagStore, row: Row, milliseconds: number): void {
  sql.run`
    UPDATE outbox_aggregates SET waiting_until = unixepoch('subsec') * 1000 + ${milliseconds}
    WHERE aggregate_type = ${text(row, 'aggregate_type')} AND aggregate_id = ${text(row, 'aggregate_id')}`
}

/** `OutboxSource.markPublished`: under no lease, so for one relay at a time. */
export function markPublished(sql: SQLTagStore, ids: readonly string[]): void {
  for (const id of ids) {
    const row = sql.get`SELECT * FROM outbox_entries WHERE id = ${id.toLowerCase()} AND state = 'pending'`
    if (row) publish(sql, row)
  }
}
