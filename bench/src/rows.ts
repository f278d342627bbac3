import type { DueEntry, Publisher, PublishOutcome } from '@outbox/core'
import type { Setting } from './contestant.ts'

/** The n-th event's aggregate: they take turns. */
export function aggregateOf(n: number, { aggregates }: Setting): string {
  return `order-${n % aggregates}`
}

/** A payload of about `payloadBytes` as JSON. */
export function payloadOf(n: number, { payloadBytes }: Setting): { readonly number: number; readonly note: string } {
  return { number: n, note: 'x'.repeat(Math.max(0, payloadBytes - 30)) }
}

/** The same two in SQL, for tables that are filled by a statement; `n` is a column. */
export function payloadSql({ payloadBytes }: Setting): string {
  return `json_build_object('number', n, 'note', repeat('x', ${Math.max(0, payloadBytes - 30)}))`
}

export function aggregateSql({ aggregates }: Setting): string {
  return `'order-' || n % ${aggregates}`
}

/** A broker that takes everything at once: what is left is the cost of the relay and its database. */
export function nullPublisher(): Publisher {
  const published: PublishOutcome = { status: 'published' }
  return {
    name: 'null',
    capabilities: { keepsOrderInBatch: true },
    publish: async (entries: readonly DueEntry[]) => entries.map(() => published),
  }
}

/** Pieces of 1 to `rows`, for those who write in batches. */
export function* batches(rows: number, size: number): Generator<readonly number[]> {
  for (let from = 0; from < rows; from += size) {
    yield Array.from({ length: Math.min(size, rows - from) }, (_, index) => from + index)
  }
}
