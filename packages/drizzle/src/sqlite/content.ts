import type { DueEntry, EntryContent } from '@outbox/core'
import { deduplicationIdOf } from '@outbox/core/adapter'
import { dateOf, headersOf, integerOf, textOf } from './rows.ts'
import type { Row } from './steps.ts'

/** The columns that `contentOf` reads, of the table named `e` in the statement; `lentContentOf` reads two more. */
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

/** What a relay and an operator see of an entry: its content, and what stands under `refused` and `crashes`. */
export function lentContentOf(row: Row): Omit<DueEntry, 'lease' | 'source' | 'isLate'> {
  const content = contentOf(row)
  return {
    ...content,
    attempt: integerOf(row, 'refused') + 1,
    crashes: integerOf(row, 'crashes'),
    deduplicationId: deduplicationIdOf(content.id, integerOf(row, 'requeues')),
  }
}
