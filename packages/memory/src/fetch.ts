import type { DueEntry, FetchRequest, Lease } from '@outbox/core'
import { deduplicationIdOf, suspectAt } from '@outbox/core/adapter'
import { standing } from './leases.ts'
import { byPosition, isDue } from './rows.ts'
import type { Row, State } from './state.ts'

/** `LeasedSource.fetch`: what is due under the leases that stand, noted as in flight. */
export function fetch(state: State, request: FetchRequest): readonly DueEntry[] {
  const leases = new Map<number, Lease>()
  for (const lease of request.leases) if (standing(state, lease)) leases.set(lease.partition, lease)
  const prefixes = duePrefixes(state, new Set(leases.keys()), request.limitPerAggregate)
  const batch = cut(suspect(prefixes) ?? prefixes, request)
  for (const [partition, lease] of leases) {
    const row = standing(state, lease)
    if (row) row.inFlight = batch.filter(({ entry }) => entry.partition === partition).map(({ entry }) => entry.id)
  }
  return batch.flatMap((row) => {
    const lease = leases.get(row.entry.partition)
    return lease ? [dueEntry(state, row, lease)] : []
  })
}

/**
 * For each due aggregate the beginning of its pending entries, by sequence.
 *
 * The oldest aggregate of every partition comes first, then the second oldest of every partition, and so on: so no
 * partition keeps another out of the batch.
 */
function duePrefixes(state: State, partitions: ReadonlySet<number>, limitPerAggregate: number): readonly Row[][] {
  const now = state.clock.monotonic()
  const byPartition = new Map<number, Row[][]>()
  for (const aggregate of state.aggregates.values()) {
    if (!partitions.has(aggregate.partition) || !isDue(aggregate, now)) continue
    const prefixes = byPartition.get(aggregate.partition) ?? []
    byPartition.set(aggregate.partition, prefixes)
    prefixes.push(prefixOf(aggregate.pending, limitPerAggregate))
  }
  const ranked: { readonly rank: number; readonly prefix: Row[] }[] = []
  for (const prefixes of byPartition.values()) {
    for (const [rank, prefix] of prefixes.sort(byHead).entries()) ranked.push({ rank, prefix })
  }
  return ranked.sort((a, b) => a.rank - b.rank || byHead(a.prefix, b.prefix)).map(({ prefix }) => prefix)
}

/** An entry that a relay may have died of ends the prefix before it, so that it comes to be its aggregate's head. */
function prefixOf(pending: readonly Row[], limitPerAggregate: number): Row[] {
  const prefix = pending.slice(0, limitPerAggregate)
  const end = prefix.findIndex((row, index) => index > 0 && row.crashes >= suspectAt)
  return end < 0 ? prefix : prefix.slice(0, end)
}

/** The oldest head that a relay may have died of, to be lent alone. */
function suspect(prefixes: readonly Row[][]): readonly Row[][] | undefined {
  const heads = prefixes.flatMap((prefix) => prefix.slice(0, 1)).filter((head) => head.crashes >= suspectAt)
  const oldest = heads.sort(byPosition)[0]
  return oldest && [[oldest]]
}

/** Takes entries in order until the first that is too much: what is left out of an aggregate is its end. */
function cut(prefixes: readonly Row[][], request: FetchRequest): readonly Row[] {
  const batch: Row[] = []
  let bytes = 0
  for (const row of prefixes.flat()) {
    bytes += row.payloadBytes
    if (batch.length >= request.limit || (batch.length > 0 && bytes > request.maxBytes)) break
    batch.push(row)
  }
  return batch
}

function byHead(a: readonly Row[], b: readonly Row[]): number {
  return (a[0]?.position ?? 0) - (b[0]?.position ?? 0)
}

function dueEntry(state: State, row: Row, lease: Lease): DueEntry {
  return { ...lentContent(row), lease, source: state.source, isLate: row.isLate }
}

/** What a relay and an operator see of a row; the date is a copy. */
export function lentContent(row: Row): Omit<DueEntry, 'lease' | 'source' | 'isLate'> {
  const { id, eventType, aggregateType, aggregateId, sequence, occurredAt, payload, headers } = row.entry
  return {
    id,
    eventType,
    aggregateType,
    aggregateId,
    sequence,
    occurredAt: new Date(occurredAt),
    payload,
    headers,
    attempt: row.refused + 1,
    crashes: row.crashes,
    deduplicationId: deduplicationIdOf(id, row.requeues),
  }
}
