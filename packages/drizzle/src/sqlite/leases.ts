import {
  type GrantedLease,
  type Lease,
  type LeasedSource,
  type LeaseState,
  type Poll,
  partitionCount,
  type RelayBeat,
} from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'
import type { TableNames } from './names.ts'
import { integerOf, textOf, textOrNullOf } from './rows.ts'
import { nowMs } from './sql.ts'
import { query, type Row, type Steps } from './steps.ts'
import { tablesVersion } from './subjects.ts'

/** How many entries of a partition `poll` looks at, to find one that is due. */
const pollWindow = 64

export function* join(names: TableNames, holder: string): Steps<{ readonly source: string }> {
  const { relays, leases, meta } = names
  yield* query(`INSERT INTO ${relays} (holder, beat) VALUES (?, 0) ON CONFLICT DO NOTHING`, holder)
  yield* query(
    `WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
     INSERT INTO ${leases} (partition, epoch, holder, in_flight) SELECT n, 0, NULL, '[]' FROM numbers WHERE true
     ON CONFLICT DO NOTHING`,
    partitionCount - 1,
  )
  yield* query(
    `INSERT INTO ${meta} (key, value) VALUES ('source', ?), ('version', ?) ON CONFLICT DO NOTHING`,
    globalThis.crypto.randomUUID(),
    String(tablesVersion),
  )
  return { source: yield* sourceOf(names) }
}

/** The name of this outbox; every relay has joined, so it is there. */
export function* sourceOf({ meta }: TableNames): Steps<string> {
  const [row] = yield* query(`SELECT value FROM ${meta} WHERE key = 'source'`)
  return row ? textOf(row, 'value') : ''
}

export function* poll(names: TableNames, holder: string): Steps<Poll> {
  const { relays, leases } = names
  const beat = yield* query(`UPDATE ${relays} SET beat = beat + 1 WHERE holder = ? RETURNING beat`, holder)
  const members = yield* query(`SELECT holder, beat FROM ${relays} ORDER BY holder`)
  const states = yield* query(`SELECT partition, epoch, holder FROM ${leases} ORDER BY partition`)
  const due = yield* query(duePartitions(names), pollWindow, pollWindow)
  return {
    isMember: beat.length > 0,
    relays: members.map(relayBeat),
    leases: states.map(leaseState),
    duePartitions: due.map((row) => integerOf(row, 'partition')),
  }
}

/**
 * Partitions with an aggregate that is due. An aggregate that waits or is blocked stands in its own table, and most of
 * its entries are parked, so the window nearly always shows the rest. Where it shows nothing else, the partition is
 * named without looking further: then a fetch parks what stands in the way.
 */
function duePartitions({ pending, pendingScan, aggregates, aggregatesDue, leases }: TableNames): string {
  return `SELECT partition FROM ${leases} l
     WHERE EXISTS (
         SELECT 1 FROM ${aggregates} a INDEXED BY ${aggregatesDue}
         WHERE a.partition = l.partition AND a.blocked_by = '[]' AND a.waiting_until <= ${nowMs})
       OR EXISTS (
         SELECT 1 FROM (
           SELECT p.aggregate_type, p.aggregate_id FROM ${pending} p INDEXED BY ${pendingScan}
           WHERE p.partition = l.partition AND p.is_parked = 0 ORDER BY p.position LIMIT ?) front
         WHERE NOT EXISTS (
           SELECT 1 FROM ${aggregates} a
           WHERE a.aggregate_type = front.aggregate_type AND a.aggregate_id = front.aggregate_id))
       OR EXISTS (
         SELECT 1 FROM ${pending} p INDEXED BY ${pendingScan}
         WHERE p.partition = l.partition AND p.is_parked = 0 ORDER BY p.position LIMIT 1 OFFSET ?)
     ORDER BY partition`
}

export function* acquire(
  names: TableNames,
  request: Parameters<LeasedSource['acquire']>[0],
): Steps<readonly GrantedLease[]> {
  const { relays } = names
  yield* evict(names, request.evict)
  const [member] = yield* query(`SELECT holder FROM ${relays} WHERE holder = ?`, request.holder)
  if (!member) return []
  const granted: GrantedLease[] = []
  for (const { partition, epoch, above = 0 } of request.claims) {
    const taken = yield* takeOver(names, partition, epoch)
    if (!taken) continue
    const lease = { partition, epoch: Math.max(epoch, above) + 1, holder: request.holder }
    yield* query(
      `UPDATE ${names.leases} SET epoch = ?, holder = ?, in_flight = '[]' WHERE partition = ?`,
      lease.epoch,
      lease.holder,
      partition,
    )
    granted.push({ ...lease, hasSuspects: yield* hasSuspects(names, partition) })
  }
  return granted.sort((a, b) => a.partition - b.partition)
}

function* evict({ relays }: TableNames, beats: readonly RelayBeat[]): Steps<void> {
  for (const { holder, beat } of beats)
    yield* query(`DELETE FROM ${relays} WHERE holder = ? AND beat = ?`, holder, beat)
}

/**
 * True if the lease still has the epoch and is free. Whoever had it before never said what became of the entries in
 * its hands: they count a crash. A lease that was given back has no notes.
 */
function* takeOver(
  { pending, pendingScan, leases, relays }: TableNames,
  partition: number,
  epoch: number,
): Steps<boolean> {
  const [free] = yield* query(
    `SELECT in_flight FROM ${leases}
     WHERE partition = ? AND epoch = ? AND (holder IS NULL OR holder NOT IN (SELECT holder FROM ${relays}))`,
    partition,
    epoch,
  )
  if (!free) return false
  yield* query(
    `UPDATE ${pending} INDEXED BY ${pendingScan} SET crashes = crashes + 1
     WHERE partition = ? AND is_parked IN (0, 1) AND position IN (SELECT value FROM json_each(?))`,
    partition,
    textOf(free, 'in_flight'),
  )
  return true
}

/** Plan: the index of what has crashes is nearly always empty; its condition has to be there word for word. */
function* hasSuspects({ pending, pendingSuspect }: TableNames, partition: number): Steps<boolean> {
  const [suspect] = yield* query(
    `SELECT position FROM ${pending} INDEXED BY ${pendingSuspect} WHERE crashes > 0 AND crashes >= ${suspectAt} AND partition = ? LIMIT 1`,
    partition,
  )
  return suspect !== undefined
}

export function* release(names: TableNames, request: Parameters<LeasedSource['release']>[0]): Steps<void> {
  for (const { partition, epoch, holder } of request.leases) {
    if (holder !== request.holder) continue
    yield* query(
      `UPDATE ${names.leases} SET holder = NULL, in_flight = '[]' WHERE partition = ? AND epoch = ? AND holder = ?`,
      partition,
      epoch,
      holder,
    )
  }
  if (request.leave) yield* query(`DELETE FROM ${names.relays} WHERE holder = ?`, request.holder)
}

/**
 * Those of the leases that stand. Within a transaction that holds the write lock nothing can end them: this is the
 * fence of every write under a lease.
 */
export function* standing({ leases }: TableNames, given: readonly Lease[]): Steps<readonly Lease[]> {
  const triples = given.map(({ partition, epoch, holder }) => [partition, epoch, holder])
  const rows = yield* query(
    `SELECT g.key AS place FROM json_each(?) g
     JOIN ${leases} l ON l.partition = g.value ->> 0 AND l.epoch = g.value ->> 1 AND l.holder = g.value ->> 2
     ORDER BY g.key`,
    JSON.stringify(triples),
  )
  return rows.flatMap((row) => given[integerOf(row, 'place')] ?? [])
}

function relayBeat(row: Row): RelayBeat {
  return { holder: textOf(row, 'holder'), beat: integerOf(row, 'beat') }
}

function leaseState(row: Row): LeaseState {
  return { partition: integerOf(row, 'partition'), epoch: integerOf(row, 'epoch'), holder: textOrNullOf(row, 'holder') }
}
