import { headersFrom } from '../shared/headers.ts'

/**
 * A row as a driver gives it. Statements select text, int and boolean, which all drivers give alike, whatever the
 * session's settings; a bigint is selected as text.
 */
export type Row = Readonly<Record<string, unknown>>

/** The rows of a result: node-postgres and PGlite wrap them, postgres-js gives them as they are. */
export function rowsOf(result: unknown): readonly Row[] {
  const rows: unknown =
    typeof result === 'object' && result !== null && 'rows' in result && !Array.isArray(result) ? result.rows : result
  if (Array.isArray(rows) && rows.every(isRow)) return rows
  throw new TypeError('The driver gave no rows: is this a database of node-postgres, postgres-js or PGlite?')
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function textIn(row: Row, column: string): string {
  const value = row[column]
  return typeof value === 'string' ? value : unexpected(column, value)
}

export function textOrNullIn(row: Row, column: string): string | null {
  return row[column] === null ? null : textIn(row, column)
}

/** An int, or a bigint as text; exact up to 2^53. */
export function numberIn(row: Row, column: string): number {
  const value = row[column]
  if (typeof value === 'number') return value
  return typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : unexpected(column, value)
}

export function booleanIn(row: Row, column: string): boolean {
  const value = row[column]
  return typeof value === 'boolean' ? value : unexpected(column, value)
}

/** Milliseconds since 1970. */
export function dateIn(row: Row, column: string): Date {
  return new Date(numberIn(row, column))
}

/** An array of objects that the statement built as JSON and gave as text. */
export function rowsIn(row: Row, column: string): readonly Row[] {
  const value: unknown = JSON.parse(textIn(row, column))
  return Array.isArray(value) && value.every(isRow) ? value : unexpected(column, value)
}

export function numbersIn(row: Row, column: string): readonly number[] {
  const value: unknown = JSON.parse(textIn(row, column))
  return Array.isArray(value) && value.every((item) => typeof item === 'number') ? value : unexpected(column, value)
}

export function textsIn(row: Row, column: string): readonly string[] {
  const value: unknown = JSON.parse(textIn(row, column))
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : unexpected(column, value)
}

export function headersIn(row: Row, column: string): Readonly<Record<string, string>> {
  return headersFrom(textIn(row, column), column)
}

function unexpected(column: string, value: unknown): never {
  throw new TypeError(`The column ${column} of a result is ${value === null ? 'null' : typeof value}.`)
}
