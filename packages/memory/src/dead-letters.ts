import type { DeadLetter, DeadLetterFilter } from '@outbox/core'
import { lentContent } from './fetch.ts'
import { aggregateOf, byPosition, deleteRow, moveRow, rowOf } from './rows.ts'
import type { Row, State } from './state.ts'

export function listDead(
  state: State,
  page: { readonly after?: string; readonly limit: number; readonly where?: DeadLetterFilter },
): DeadLetter[] {
  // The row of `after` keeps its position when it is requeued or discarded between two pages.
  const after = page.after === undefined ? 0 : (rowOf(state, page.after)?.position ?? Number.POSITIVE_INFINITY)
  const fits = filterOf(page.where ?? {})
  return [...state.rows.values()]
    .filter((row) => row.position > after)
    .sort(byPosition)
    .flatMap((row) => deadLetter(row) ?? [])
    .filter(fits)
    .slice(0, page.limit)
}

function deadLetter(row: Row): DeadLetter | undefined {
  if (row.state.kind !== 'dead') return undefined
  const { reason, at, holder } = row.state
  return { entry: { ...lentContent(row), partition: row.entry.partition }, reason, diedAt: new Date(at), holder }
}

function filterOf({ eventType, aggregateType, aggregateId, diedBefore }: DeadLetterFilter) {
  return ({ entry, diedAt }: DeadLetter): boolean =>
    (eventType === undefined || entry.eventType === eventType) &&
    (aggregateType === undefined || entry.aggregateType === aggregateType) &&
    (aggregateId === undefined || entry.aggregateId === aggregateId) &&
    (diedBefore === undefined || diedAt < diedBefore)
}

export function requeue(state: State, ids: readonly string[]): number {
  const rows = deadRows(state, ids)
  for (const row of rows) {
    row.refused = 0
    row.crashes = 0
    row.requeues += 1
    moveRow(state, row, { kind: 'pending' })
    aggregateOf(state, row).waitingUntil = Number.NEGATIVE_INFINITY
  }
  return rows.length
}

export function discard(state: State, ids: readonly string[]): number {
  const rows = deadRows(state, ids)
  for (const row of rows) moveRow(state, row, { kind: 'discarded', since: state.clock.monotonic() })
  return rows.length
}

function deadRows(state: State, ids: readonly string[]): Row[] {
  return [...new Set(ids.flatMap((id) => rowOf(state, id) ?? []))].filter((row) => row.state.kind === 'dead')
}

export function purge(state: State, request: { readonly olderThanMs: number; readonly limit: number }): number {
  const newest = state.clock.monotonic() - request.olderThanMs
  const old = [...state.rows.values()]
    .filter((row) => endedAt(row) <= newest)
    .sort((a, b) => endedAt(a) - endedAt(b))
    .slice(0, request.limit)
  for (const row of old) deleteRow(state, row)
  return old.length
}

function endedAt(row: Row): number {
  return row.state.kind === 'published' || row.state.kind === 'discarded' ? row.state.since : Number.POSITIVE_INFINITY
}
