import { aggregateKey } from '@outbox/core/adapter'
import type { Aggregate, EntryState, Row, State } from './state.ts'

/** Makes a staged row part of the outbox: from here on everybody sees it. */
export function addRow(state: State, row: Row): void {
  const aggregate = aggregateOf(state, row)
  state.rows.set(row.entry.id, row)
  state.sequenceSources.set(row.entry.aggregateType, row.numberedBy)
  aggregate.bySequence.set(row.entry.sequence, row)
  if (row.numberedBy === 'store') aggregate.lastSequence = Math.max(aggregate.lastSequence, row.entry.sequence)
  row.isLate = aggregate.highestPublished > row.entry.sequence
  insertPending(aggregate, row)
}

/** Moves a row to another state; the aggregate's lists follow, here and nowhere else. */
export function moveRow(state: State, row: Row, next: EntryState): void {
  const aggregate = aggregateOf(state, row)
  if (row.state.kind === 'pending') aggregate.pending.splice(aggregate.pending.indexOf(row), 1)
  if (row.state.kind === 'dead') aggregate.dead.delete(row)
  row.state = next
  if (next.kind === 'pending') insertPending(aggregate, row)
  if (next.kind === 'dead') aggregate.dead.add(row)
  if (next.kind === 'published') {
    aggregate.highestPublished = Math.max(aggregate.highestPublished, row.entry.sequence)
  }
}

/** The row of an id as a caller writes it: a UUID in capitals is the same one. */
export function rowOf(state: State, id: string): Row | undefined {
  return state.rows.get(id.toLowerCase())
}

/** Forgets a row for good. The aggregate's counter stays. */
export function deleteRow(state: State, row: Row): void {
  aggregateOf(state, row).bySequence.delete(row.entry.sequence)
  state.rows.delete(row.entry.id)
}

/** The aggregate of a row, made at its first use. */
export function aggregateOf(state: State, row: Row): Aggregate {
  const key = aggregateKey(row.entry)
  const known = state.aggregates.get(key)
  if (known) return known
  const aggregate: Aggregate = {
    partition: row.entry.partition,
    bySequence: new Map(),
    pending: [],
    dead: new Set(),
    lastSequence: 0,
    highestPublished: -1,
    waitingUntil: Number.NEGATIVE_INFINITY,
  }
  state.aggregates.set(key, aggregate)
  return aggregate
}

/** True if the aggregate has something to publish, is not blocked, and does not wait. */
export function isDue(aggregate: Aggregate, now: number): boolean {
  if (aggregate.pending.length === 0 || aggregate.waitingUntil > now) return false
  for (const row of aggregate.dead) {
    if (row.state.kind === 'dead' && row.state.blocksAggregate) return false
  }
  return true
}

/** Committed rows that are neither published, dead nor discarded, in the order they were enqueued. */
export function pendingRows(state: State): Row[] {
  return [...state.aggregates.values()].flatMap((aggregate) => aggregate.pending).sort(byPosition)
}

export function countPending(state: State): number {
  let count = 0
  for (const aggregate of state.aggregates.values()) count += aggregate.pending.length
  return count
}

export function byPosition(a: Row, b: Row): number {
  return a.position - b.position
}

function insertPending(aggregate: Aggregate, row: Row): void {
  // nearly always the last place, so the search begins there
  let index = aggregate.pending.length
  while (index > 0 && (aggregate.pending[index - 1]?.entry.sequence ?? -1) > row.entry.sequence) index--
  aggregate.pending.splice(index, 0, row)
}
