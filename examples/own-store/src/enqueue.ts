import type { SQLTagStore } from 'node:sqlite'
import type { NewEntry, Receipt } from '@outbox/core'
import { entriesToWrite, mixedSequences, receiptsFor, type Stored, sequenceConflict } from '@outbox/core/adapter'
import type { Transaction } from './connection.ts'
import { number, text } from './rows.ts'

// #region enqueue
/** `Enqueue.enqueue`. A batch is written whole or not at all, even if the caller catches the error and commits. */
export function enqueue(tx: Transaction, entries: readonly NewEntry[]): readonly Receipt[] {
  return tx.savepoint(({ sql }) => {
    const written = entriesToWrite(entries)
    const stored = new Map(written.map((entry) => [entry.id, write(sql, entry)]))
    return receiptsFor(entries, written, stored)
  })
}

/** The transaction has the file's only write lock: what is looked up here holds until it ends. */
function write(sql: SQLTagStore, entry: NewEntry): Stored {
  const { id, partition, aggregateType, aggregateId, eventType, payload } = entry
  const known = sql.get`SELECT sequence FROM outbox_entries WHERE id = ${id}`
  if (known) return { sequence: number(known, 'sequence'), isNew: false }

  checkNumbering(sql, entry)
  const given = entry.sequence ?? null
  const aggregate = sql.get`
    INSERT INTO outbox_aggregates (aggregate_type, aggregate_id, last_sequence)
    VALUES (${aggregateType}, ${aggregateId}, coalesce(${given}, 1))
    ON CONFLICT DO UPDATE SET last_sequence = coalesce(${given}, last_sequence + 1)
    RETURNING last_sequence, highest_published`
  if (!aggregate) throw new Error('RETURNING gave no row')
  const sequence = number(aggregate, 'last_sequence')
  const taken = sql.get`
    SELECT 1 FROM outbox_entries
    WHERE aggregate_type = ${aggregateType} AND aggregate_id = ${aggregateId} AND sequence = ${sequence}`
  if (taken) throw sequenceConflict({ aggregateType, aggregateId, sequence })

  const isLate = sequence < number(aggregate, 'highest_published')
  sql.run`
    INSERT INTO outbox_entries (
      id, partition, aggregate_type, aggregate_id, sequence, event_type, occurred_at, headers, payload, is_late)
    VALUES (
      ${id}, ${partition}, ${aggregateType}, ${aggregateId}, ${sequence}, ${eventType},
      ${entry.occurredAt.getTime()}, ${JSON.stringify(entry.headers)}, ${payload}, ${Number(isLate)})`
  return { sequence, isNew: true }
}

/** A type is numbered by its callers or by the store, from its first entry on. */
function checkNumbering(sql: SQLTagStore, { aggregateType, sequence }: NewEntry): void {
  const wanted = sequence === undefined ? 'store' : 'caller'
  const row = sql.get`
    INSERT INTO outbox_types VALUES (${aggregateType}, ${wanted})
    ON CONFLICT DO UPDATE SET numbered_by = numbered_by RETURNING numbered_by`
  if (!row || text(row, 'numbered_by') !== wanted) throw mixedSequences(aggregateType)
}
// #endregion
