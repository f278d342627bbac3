import type { DueEntry, EntryContent } from '@outbox/core'
import { deduplicationIdOf } from '@outbox/core/adapter'
import type { TableNames } from './names.ts'
import { dateOf, headersOf, integerOf, textOf } from './rows.ts'
import type { Row } from './steps.ts'

/** The columns that `contentOf` reads, of the table named `e` in the statement. */
export const contentColumns: string =
  'e.position, e.id, e.partition, e.aggregate_type, e.aggregate_id, e.event_type, e.sequence, e.requeues, e.occurred_at, e.headers, e.payload'

export function contentOf(row: Row): EntryContent {
  return {
    id: textOf(row, 'id'),
    eventType: textOf(row, 'event_type'),
    aggregateType: textOf(row, 'aggregate_type'),
    aggregateId: textOf(row, 'aggregate_id'),
    sequence: integerOf(row, 'sequence'),
    occurredAt: dateOf(row, 'occurred_at'),
    payload: textOf(row, 'payload'),
    headers: headersOf(row),
  }
}

/**
 * Joins the entry at a position, as `e`, to what stands before it. Plan: by position to its id, and by that to the row; a
 * join by position alone may become a scan (see `TableNames`).
 */
export function entryAt({ entries, entriesById }: TableNames, position: string): string {
  return `CROSS JOIN ${entries} e INDEXED BY ${entriesById} ON e.id = (SELECT id FROM ${entries} WHERE position = ${position})`
}

/** What was counted of an entry that is, or was, pending. */
export interface Tries {
  readonly refused: number
  readonly crashes: number
}

/** What a relay and an operator see of an entry. */
export function lentContentOf(row: Row, { refused, crashes }: Tries): Omit<DueEntry, 'lease' | 'source' | 'isLate'> {
  const content = contentOf(row)
  return {
    ...content,
    attempt: refused + 1,
    crashes,
    deduplicationId: deduplicationIdOf(content.id, integerOf(row, 'requeues')),
  }
}
