import type { DeadLetter } from '@outbox/core'
import { deduplicationIdOf } from '@outbox/core/adapter'
import { dateIn, headersIn, numberIn, type Row, textIn, uuidIn } from './rows.ts'

/** The time of the statement in UTC: a session's time zone does not change it. */
export const now = 'utc_timestamp(6)'

/** What is selected of an entry to lend or to show it, from the table named `alias`; `payload` is SQL for its text. */
export function lentColumns(alias: string, payload?: string): string {
  return `${contentColumns(alias, payload)}, ${alias}.refused, ${alias}.crashes, ${alias}.requeues`
}

/** Texts as bytes, which no character set of the connection changes; times as milliseconds since 1970. */
export function contentColumns(alias: string, payload: string = `${alias}.payload`): string {
  return `hex(${alias}.id) as id, ${alias}.\`partition\`, ${alias}.aggregate_type, ${alias}.aggregate_id,
  ${alias}.event_type, ${alias}.sequence, cast(${payload} as binary) as payload,
  cast(${alias}.headers as binary) as headers, ${millisecondsOf(`${alias}.occurred_at`)} as occurred_at`
}

/** A time in SQL, as milliseconds since 1970. */
export function millisecondsOf(time: string): string {
  return `timestampdiff(microsecond, '1970-01-01', ${time}) div 1000`
}

/** The time so many milliseconds from now; `ms` is SQL for a whole number of them. */
export function later(ms: string): string {
  return `${now} + interval ${ms} * 1000 microsecond`
}

type Content = Omit<DeadLetter['entry'], 'attempt' | 'crashes' | 'deduplicationId' | 'partition'>

export function content(row: Row): Content {
  return {
    id: uuidIn(row, 'id'),
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
  const entry = content(row)
  return {
    ...entry,
    attempt: numberIn(row, 'refused') + 1,
    crashes: numberIn(row, 'crashes'),
    deduplicationId: deduplicationIdOf(entry.id, numberIn(row, 'requeues')),
  }
}
