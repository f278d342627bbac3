import type { DueEntry, Lease, Settlement, SettleRequest } from '@outbox/core'
import { firstWords, requeuesOf, retryWaitMs } from '@outbox/core/adapter'
import { dropIdleAggregates } from './aggregates.ts'
import { standing } from './leases.ts'
import type { TableNames } from './names.ts'
import { becomePublished } from './pending.ts'
import { integerOf } from './rows.ts'
import { nowMs } from './sql.ts'
import { query, type Steps } from './steps.ts'

type Published = Extract<Settlement, { readonly outcome: 'published' }>
type Retry = Extract<Settlement, { readonly outcome: 'retry' }>
type Dead = Extract<Settlement, { readonly outcome: 'dead' }>

/**
 * `LeasedSource.settle`, as one transaction that holds the write lock: the leases cannot change meanwhile. One lost
 * lease does not void what is said under the others.
 */
export function* settle(names: TableNames, request: SettleRequest): Steps<{ readonly lost: readonly Lease[] }> {
  const given = new Set([...request.leases, ...request.settlements.map(({ entry }) => entry.lease)])
  const stands = new Set(yield* standing(names, [...given]))
  const settlements = firstWords(request.settlements).filter(({ entry }) => stands.has(entry.lease))
  yield* markPublished(names, settlements.filter(isPublished))
  for (const settlement of settlements) {
    if (settlement.outcome === 'retry') yield* retry(names, settlement)
    if (settlement.outcome === 'dead') yield* bury(names, settlement)
  }
  yield* dropIdleAggregates(
    names,
    settlements.map(({ entry }) => entry),
  )
  const kept = request.leases.filter((lease) => stands.has(lease))
  yield* query(
    `UPDATE ${names.leases} SET in_flight = '[]'
     WHERE partition IN (SELECT value FROM json_each(?)) AND in_flight <> '[]'`,
    JSON.stringify(kept.map(({ partition }) => partition)),
  )
  return { lost: request.leases.filter((lease) => !stands.has(lease)) }
}

function isPublished(settlement: Settlement): settlement is Published {
  return settlement.outcome === 'published'
}

/**
 * All of a batch at once, since this is what nearly always happens. Plan: by the unique index of ids, without rows; then
 * by position.
 */
function* markPublished(names: TableNames, settlements: readonly Published[]): Steps<void> {
  if (settlements.length === 0) return
  const rows = yield* query(
    `SELECT s.key AS place, e.position, (
         SELECT json_array(partition, refused, requeues) FROM ${names.pending} WHERE position = e.position) AS tried
     FROM json_each(?) s CROSS JOIN ${names.entries} e INDEXED BY ${names.entriesById} ON e.id = s.value`,
    JSON.stringify(settlements.map(({ entry }) => entry.id)),
  )
  const asLent = new Set<number>()
  for (const row of rows) {
    const entry = settlements[integerOf(row, 'place')]?.entry
    if (entry && row['tried'] === triedWhenLent(entry)) asLent.add(integerOf(row, 'position'))
  }
  yield* becomePublished(names, [...asLent])
}

function triedWhenLent(entry: DueEntry): string {
  return `[${entry.lease.partition},${entry.attempt - 1},${requeuesOf(entry)}]`
}

/** Which row of `pending` is meant: the entry's, of the lease's partition, at the same try. */
function stillAsLent({ entries }: TableNames): string {
  return `position = (SELECT position FROM ${entries} WHERE id = ?) AND partition = ? AND refused = ? AND requeues = ?`
}

/** The aggregate waits, and stands in the scan no more; the entry, at least, is parked. */
function* retry(names: TableNames, settlement: Retry): Steps<void> {
  const { entry, isRefusal, reason } = settlement
  const [changed] = yield* query(
    `UPDATE ${names.pending} SET is_parked = 1, refused = refused + ?, crashes = 0, reason = ?
     WHERE ${stillAsLent(names)} RETURNING partition`,
    isRefusal ? 1 : 0,
    readable(reason),
    entry.id,
    entry.lease.partition,
    entry.attempt - 1,
    requeuesOf(entry),
  )
  if (!changed) return
  yield* query(
    `INSERT INTO ${names.aggregates} (aggregate_type, aggregate_id, partition, waiting_until) VALUES (?, ?, ?, ${nowMs} + ?)
     ON CONFLICT DO UPDATE SET waiting_until = excluded.waiting_until`,
    entry.aggregateType,
    entry.aggregateId,
    integerOf(changed, 'partition'),
    retryWaitMs(settlement),
  )
}

/** The entry is dead. Its aggregate is blocked, or, if it has waited, due again. */
function* bury(names: TableNames, { entry, reason, blocksAggregate }: Dead): Steps<void> {
  const [buried] = yield* query(
    `DELETE FROM ${names.pending} WHERE ${stillAsLent(names)} RETURNING position, partition, refused`,
    entry.id,
    entry.lease.partition,
    entry.attempt - 1,
    requeuesOf(entry),
  )
  if (!buried) return
  yield* query(
    `INSERT INTO ${names.settled} (position, partition, outcome, settled_at, refused, settled_by, reason)
     VALUES (?, ?, 'dead', ${nowMs}, ?, ?, ?)`,
    integerOf(buried, 'position'),
    integerOf(buried, 'partition'),
    integerOf(buried, 'refused'),
    entry.lease.holder,
    readable(reason),
  )
  if (blocksAggregate) {
    yield* query(
      `INSERT INTO ${names.aggregates} (aggregate_type, aggregate_id, partition, waiting_until, blocked_by)
       VALUES (?, ?, ?, 0, json_array(?))
       ON CONFLICT DO UPDATE SET blocked_by = json_insert(blocked_by, '$[#]', excluded.blocked_by ->> 0)`,
      entry.aggregateType,
      entry.aggregateId,
      integerOf(buried, 'partition'),
      entry.id,
    )
  } else {
    yield* query(
      `UPDATE ${names.aggregates} SET waiting_until = 0 WHERE aggregate_type = ? AND aggregate_id = ?`,
      entry.aggregateType,
      entry.aggregateId,
    )
  }
}

/** libsql reads a text up to its first U+0000. For words of others, not payloads: JSON has no raw one. */
function readable(reason: string): string {
  return reason.replaceAll('\0', '\ufffd')
}
