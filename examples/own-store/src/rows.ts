import type { DueEntry, Headers } from '@outbox/core'
import { deduplicationIdOf } from '@outbox/core/adapter'

/** A row as the driver gives it: nothing is known of its columns until they are read. */
export type Row = Readonly<Record<string, unknown>>

/** The entry's content and count of attempts, as a relay and an operator see it. */
export function lentContent(row: Row): Omit<DueEntry, 'lease' | 'source' | 'isLate'> {
  const id = text(row, 'id')
  const requeues = number(row, 'requeues')
  return {
    id,
    eventType: text(row, 'event_type'),
    aggregateType: text(row, 'aggregate_type'),
    aggregateId: text(row, 'aggregate_id'),
    sequence: number(row, 'sequence'),
    occurredAt: new Date(number(row, 'occurred_at')),
    payload: text(row, 'payload'),
    headers: headers(row),
    attempt: number(row, 'refused') + 1,
    crashes: number(row, 'crashes'),
    deduplicationId: deduplicationIdOf(id, requeues),
  }
}

export function text(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw new TypeError(`${column} is no text`)
  return value
}

export function number(row: Row, column: string): number {
  const value = row[column]
  if (typeof value !== 'number') throw new TypeError(`${column} is no number`)
  return value
}

function headers(row: Row): Headers {
  const parsed: unknown = JSON.parse(text(row, 'headers'))
  if (isTextRecord(parsed)) return parsed
  throw new TypeError('headers is no object of strings')
}

function isTextRecord(value: unknown): value is Readonly<Record<string, string>> {
  return typeof value === 'object' && value !== null && Object.values(value).every((each) => typeof each === 'string')
}

/** A number for LIMIT, which takes whole ones only: a limit may be endless. */
export function rowLimit(limit: number): number {
  return Math.min(limit, 2 ** 53 - 1)
}
