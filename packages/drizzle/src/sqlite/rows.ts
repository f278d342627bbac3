import type { Headers } from '@outbox/core'
import type { Row } from './steps.ts'

/** A column that holds text. Whatever else stands there was written by somebody else: it is named, not passed on. */
export function textOf(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw unexpected(column, value, 'text')
  return value
}

export function textOrNullOf(row: Row, column: string): string | null {
  return row[column] === null ? null : textOf(row, column)
}

/**
 * A column that holds a whole number; SQLite's integers are exact here up to 2^53. A libsql client gives them as its
 * `intMode` says: numbers, bigints, or texts.
 */
export function integerOf(row: Row, column: string): number {
  const value = row[column]
  const isOther = typeof value === 'bigint' || (typeof value === 'string' && /^-?\d+$/.test(value))
  const number = isOther ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw unexpected(column, value, 'a whole number')
  return number
}

export function integerOrNullOf(row: Row, column: string): number | null {
  return row[column] === null ? null : integerOf(row, column)
}

/** SQLite has no booleans: a condition is 0 or 1. */
export function booleanOf(row: Row, column: string): boolean {
  return integerOf(row, column) !== 0
}

export function dateOf(row: Row, column: string): Date {
  return new Date(integerOf(row, column))
}

const noHeaders: Headers = Object.freeze({})

export function headersOf(row: Row): Headers {
  const text = textOf(row, 'headers')
  if (text === '{}') return noHeaders
  const parsed: unknown = JSON.parse(text)
  if (!isHeaders(parsed)) throw unexpected('headers', parsed, 'an object of texts')
  return Object.freeze(parsed)
}

function isHeaders(value: unknown): value is Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every((text) => typeof text === 'string')
}

/** Names the column and the kind of the value, never the value: it may be a payload. */
function unexpected(column: string, value: unknown, expected: string): TypeError {
  const kind = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value
  return new TypeError(`Column ${column} of the outbox holds ${kind} where ${expected} should stand.`)
}
