import type { DeadLetter } from '@outbox/core'
import { lentContent } from './fetch.ts'
import { aggregateOf, byPosition, deleteRow, moveRow } from './rows.ts'
import type { Row, State } from './state.ts'

export function listDead(state: State, page: { readonly after?: string; readonly limit: number }): DeadLetter[] {
  // The row of `after` keeps its position when it is requeued or discarded between two pages.
  const after = page.after === undefined ? 0 : (state.rows.get(page.after)?.position ?? Number.POSITIVE_INFINITY)
  return [...state.rows.values()]
    .filter((row) => row.position > after)
    .sort(byPosition)
    .flatMap((row) => deadLetter(row) ?? [])
    .slice(0, page.limit)
}

function deadLetter(row: Row): DeadLetter | undefined {
  if (row.state.kind !== 'dead') return undefined
  const entry = { ...lentContent(row), partition: row.entry.partition }
  return { entry, reason: row.state.reason, diedAt: new Date(row.state.at) }
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
  return [...new Set(ids)].flatMap((id) => state.rows.get(id) ?? []).filter((row) => row.state.kind === 'dead')
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
