import type { Lease, Settlement, SettleRequest } from '@outbox/core'
import { dropIdleAggregates } from './aggregates.ts'
import { standing } from './leases.ts'
import type { TableNames } from './names.ts'
import { integerOf } from './rows.ts'
import { isPending, nowMs } from './sql.ts'
import { query, type Steps } from './steps.ts'

type Published = Extract<Settlement, { readonly outcome: 'published' }>
type Retry = Extract<Settlement, { readonly outcome: 'retry' }>
type Dead = Extract<Settlement, { readonly outcome: 'dead' }>

/**
 * `LeasedSource.settle`, as one transaction that holds the write lock: the leases cannot change meanwhile. One lost
 * lease does not void what is said under the others.
 */
export function* settle(names: TableNames, request: SettleRequest): Steps<{ readonly lost: readonly Lease[] }> {
  const given = distinct([...request.leases, ...request.settlements.map(({ entry }) => entry.lease)])
  const stands = new Set((yield* standing(names, given)).map(leaseKey))
  const settlements = request.settlements.filter(({ entry }) => stands.has(leaseKey(entry.lease)))
  yield* markPublished(names, settlements.filter(isPublished))
  for (const settlement of settlements) {
    if (settlement.outcome === 'retry') yield* retry(names, settlement)
    if (settlement.outcome === 'dead') yield* bury(names, settlement)
  }
  yield* dropIdleAggregates(
    names,
    settlements.map(({ entry }) => entry),
  )
  const kept = request.leases.filter((lease) => stands.has(leaseKey(lease)))
  yield* query(
    `UPDATE ${names.leases} SET in_flight = '[]'
     WHERE partition IN (SELECT value FROM json_each(?)) AND in_flight <> '[]'`,
    JSON.stringify(kept.map(({ partition }) => partition)),
  )
  return { lost: request.leases.filter((lease) => !stands.has(leaseKey(lease))) }
}

function isPublished(settlement: Settlement): settlement is Published {
  return settlement.outcome === 'published'
}

/** What is compared with the row of a settled entry: it is pending, of the lease's partition, at the same attempt. */
const stillAsLent = `${isPending} AND partition = ? AND refused = ?`

/** All of a batch at once, since this is what nearly always happens. Plan: by the unique index of ids. */
function* markPublished({ entries }: TableNames, settlements: readonly Published[]): Steps<void> {
  if (settlements.length === 0) return
  yield* query(
    `UPDATE ${entries} AS e SET state = 'published', settled_at = ${nowMs}, crashes = 0, reason = NULL
     FROM json_each(?) s
     WHERE e.id = s.value ->> 0 AND e.partition = s.value ->> 1 AND e.refused = s.value ->> 2 AND e.${isPending}`,
    JSON.stringify(settlements.map(({ entry }) => [entry.id, entry.lease.partition, entry.attempt - 1])),
  )
}

/** The aggregate waits, and stands in the scan no more; the entry, at least, is parked. */
function* retry({ entries, aggregates }: TableNames, { entry, retryInMs, isRefusal, reason }: Retry): Steps<void> {
  const [changed] = yield* query(
    `UPDATE ${entries} SET state = 'parked', refused = refused + ?, crashes = 0, reason = ?
     WHERE id = ? AND ${stillAsLent} RETURNING partition`,
    isRefusal ? 1 : 0,
    readable(reason),
    entry.id,
    entry.lease.partition,
    entry.attempt - 1,
  )
  if (!changed) return
  yield* query(
    `INSERT INTO ${aggregates} (aggregate_type, aggregate_id, partition, waiting_until) VALUES (?, ?, ?, ${nowMs} + ?)
     ON CONFLICT DO UPDATE SET waiting_until = excluded.waiting_until`,
    entry.aggregateType,
    entry.aggregateId,
    integerOf(changed, 'partition'),
    Math.ceil(retryInMs),
  )
}

/** The entry is dead. Its aggregate is blocked, or, if it has waited, due again. */
function* bury({ entries, aggregates }: TableNames, { entry, reason, blocksAggregate }: Dead): Steps<void> {
  const [changed] = yield* query(
    `UPDATE ${entries} SET state = 'dead', settled_at = ${nowMs}, settled_by = ?, crashes = 0, reason = ?
     WHERE id = ? AND ${stillAsLent} RETURNING partition`,
    entry.lease.holder,
    readable(reason),
    entry.id,
    entry.lease.partition,
    entry.attempt - 1,
  )
  if (!changed) return
  if (blocksAggregate) {
    yield* query(
      `INSERT INTO ${aggregates} (aggregate_type, aggregate_id, partition, waiting_until, blocked_by)
       VALUES (?, ?, ?, 0, json_array(?))
       ON CONFLICT DO UPDATE SET blocked_by = json_insert(blocked_by, '$[#]', excluded.blocked_by ->> 0)`,
      entry.aggregateType,
      entry.aggregateId,
      integerOf(changed, 'partition'),
      entry.id,
    )
  } else {
    yield* query(
      `UPDATE ${aggregates} SET waiting_until = 0 WHERE aggregate_type = ? AND aggregate_id = ?`,
      entry.aggregateType,
      entry.aggregateId,
    )
  }
}

/** libsql reads a text up to its first U+0000. For words of others, not payloads: JSON has no raw one. */
function readable(reason: string): string {
  return reason.replaceAll('\0', '\ufffd')
}

function distinct(leases: readonly Lease[]): readonly Lease[] {
  return [...new Map(leases.map((lease) => [leaseKey(lease), lease])).values()]
}

function leaseKey({ partition, epoch, holder }: Lease): string {
  return `${partition} ${epoch} ${holder}`
}
