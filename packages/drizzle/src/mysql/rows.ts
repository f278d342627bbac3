import { headersFrom } from '../shared/headers.ts'

/** A row as the driver gives it, by column. */
export type Row = Readonly<Record<string, unknown>>

/** What a statement that writes has done. */
export interface Written {
  /** rows matched or changed: drivers differ in which, so it only tells none from some */
  readonly affectedRows: number
  /** what the statement's `last_insert_id(…)` gave */
  readonly insertId: number
}

/** The rows of a result, whatever shape the pool's options (`rowsAsArray`, `nestTables`) give them. */
export function rowsOf(result: unknown): readonly Row[] {
  const [rows, fields]: readonly unknown[] = Array.isArray(result) ? result : []
  if (!Array.isArray(rows)) throw new TypeError('The driver gave no rows: is this a drizzle database over mysql2?')
  const [first]: readonly unknown[] = rows
  if (Array.isArray(first)) return rows.map((row) => named(row, fields))
  // all rows of a result have one shape
  if (isRow(first) && !Object.values(first).some(isRow)) return rows
  return rows.map(flat)
}

function named(row: readonly unknown[], fields: unknown): Row {
  if (!Array.isArray(fields)) throw new TypeError('The driver names no columns.')
  return Object.fromEntries(fields.map((field: unknown, index) => [nameOf(field), row[index]]))
}

function nameOf(field: unknown): string {
  return typeof field === 'object' && field !== null && 'name' in field ? String(field.name) : ''
}

function flat(row: unknown): Row {
  if (!isRow(row)) throw new TypeError(`The driver gave ${typeof row} for a row.`)
  return Object.assign({}, ...Object.values(row))
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array) && !(value instanceof Date)
}

/** @throws {TypeError} if the statement did not write */
export function writtenOf(result: unknown): Written {
  const header: unknown = Array.isArray(result) ? result[0] : undefined
  if (!isRow(header) || !('affectedRows' in header)) throw new TypeError('The driver does not say what was written.')
  return { affectedRows: Number(header['affectedRows']), insertId: Number(header['insertId'] ?? 0) }
}

/** Columns of bytes come as bytes, which are UTF-8 whatever the connection's character set is. */
export function textIn(row: Row, column: string): string {
  const value = row[column]
  if (typeof value === 'string') return value
  if (Buffer.isBuffer(value)) return value.toString('utf8')
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8')
  return unexpected(column, value)
}

export function textOrNullIn(row: Row, column: string): string | null {
  return row[column] === null ? null : textIn(row, column)
}

/** Whole numbers up to 2^53 - 1, which the driver gives as numbers, bigints or texts. */
export function numberIn(row: Row, column: string): number {
  const value = row[column]
  const number =
    typeof value === 'number' || typeof value === 'bigint' || typeof value === 'string' ? Number(value) : NaN
  return Number.isSafeInteger(number) ? number : unexpected(column, value)
}

export function numberOrNullIn(row: Row, column: string): number | null {
  return row[column] === null ? null : numberIn(row, column)
}

export function booleanIn(row: Row, column: string): boolean {
  return numberIn(row, column) !== 0
}

export function booleanOrNullIn(row: Row, column: string): boolean | null {
  return row[column] === null ? null : booleanIn(row, column)
}

/** Milliseconds since 1970. */
export function dateIn(row: Row, column: string): Date {
  return new Date(numberIn(row, column))
}

/** A UUID selected by `hex(…)`. */
export function uuidIn(row: Row, column: string): string {
  const digits = textIn(row, column).toLowerCase()
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`
}

export function headersIn(row: Row, column: string): Readonly<Record<string, string>> {
  return headersFrom(textIn(row, column), column)
}

function unexpected(column: string, value: unknown): never {
  throw new TypeError(`The column ${column} of a result is ${value === null ? 'null' : typeof value}.`)
}
