import type { DeadLetter } from '@outbox/core'
import { deduplicationIdOf } from '@outbox/core/adapter'
import { dateIn, headersIn, numberIn, type Row, textIn } from './rows.ts'

/** The columns behind `lentColumns`. */
export const lentSource: string =
  'id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, headers, occurred_at, refused, crashes, requeues'

/** What is selected of an entry to lend or to show it, from the table named `alias`. */
export function lentColumns(alias: string): string {
  return `${contentColumns(alias)}, ${alias}.refused, ${alias}.crashes, ${alias}.requeues`
}

/**
 * Sequences as text, and times as milliseconds since 1970, likewise: nothing depends on a driver, or on a setting of
 * the session. The payload's text is selected, so that no driver parses it.
 */
export function contentColumns(alias: string): string {
  return `${alias}.id::text as id, ${alias}.partition::int as partition, ${alias}.aggregate_type, ${alias}.aggregate_id,
  ${alias}.event_type, ${alias}.sequence::text as sequence, ${alias}.payload::text as payload,
  ${alias}.headers::text as headers, ${millisecondsOf(`${alias}.occurred_at`)}::text as occurred_at`
}

/** SQL: columns of a row, named one by one. */
export function columnsOf(row: string, columns: string): string {
  return columns
    .split(', ')
    .map((column) => `${row}.${column}`)
    .join(', ')
}

/**
 * A time or an interval in SQL, as whole milliseconds (bigint); of a time, those since 1970.
 *
 * A double holds them exactly for as long as there are years of four digits, and is cheaper than `extract`, a numeric.
 */
export function millisecondsOf(time: string): string {
  return `round(date_part('epoch', ${time}) * 1000)::bigint`
}

type Content = Omit<DeadLetter['entry'], 'attempt' | 'crashes' | 'deduplicationId'>

export function content(row: Row): Content {
  return {
    id: textIn(row, 'id'),
    partition: numberIn(row, 'partition'),
    aggregateType: textIn(row, 'aggregate_type'),
    aggregateId: textIn(row, 'aggregate_id'),
    eventType: textIn(row, 'event_type'),
    sequence: numberIn(row, 'sequence'),
    payload: textIn(row, 'payload'),
    headers: headersIn(row, 'headers'),
    occurredAt: dateIn(row, 'occurred_at'),
  }
}

/** What a relay and an operator see of an entry. */
export function lentContent(row: Row): Omit<DeadLetter['entry'], 'partition'> {
  const { partition: _, ...entry } = content(row)
  return {
    ...entry,
    attempt: numberIn(row, 'refused') + 1,
    crashes: numberIn(row, 'crashes'),
    deduplicationId: deduplicationIdOf(entry.id, numberIn(row, 'requeues')),
  }
}
