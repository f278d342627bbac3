/**
 * Values as they stand in SQL. All are written into the statement, none is bound: a text has to mean the same under
 * every `sql_mode` (NO_BACKSLASH_ESCAPES), every character set of the connection and every option of the driver. So
 * what is not plain ASCII, or holds a quote or a backslash, is written as its bytes in UTF-8.
 */
export function textLiteral(value: string): string {
  return plain.test(value) ? `'${value}'` : `x'${hexOf(value)}'`
}

const plain = /^[ -&(-[\]-~]*$/

/** The bytes of a text in UTF-8, in hexadecimal digits. */
export function hexOf(value: string): string {
  return Buffer.from(value, 'utf8').toString('hex')
}

/** A UUID as the 16 bytes that its column holds. @param id - one that `isUuid` has seen */
export function uuidLiteral(id: string): string {
  return `x'${uuidDigits(id)}'`
}

export function uuidDigits(id: string): string {
  return id.replaceAll('-', '').toLowerCase()
}

/** UTC, to the millisecond. */
export function timeLiteral(time: Date): string {
  return `'${time.toISOString().slice(0, -1).replace('T', ' ')}'`
}

/** A number of rows or bytes: whole, not negative, and finite where no limit was meant. */
export function whole(value: number): number {
  return Math.min(Math.max(0, Math.floor(value) || 0), Number.MAX_SAFE_INTEGER)
}

/** A list of whole numbers between brackets; never empty, as `in ()` is no SQL. */
export function numberList(numbers: readonly number[]): string {
  return `(${numbers.length === 0 ? 'null' : numbers.map(whole).join(', ')})`
}

/**
 * SQL for `column` to be one of these literals; never called without any.
 *
 * MariaDB makes a list of a thousand a table of its own, and joins it in whichever order its statistics say: where they
 * are of a table with little in it, it reads the other one from end to end, and locks it in a statement that writes.
 */
export function isOneOf(column: string, literals: readonly string[]): string {
  return `(${inParts(literals)
    .map((part) => `${column} in (${part.join(', ')})`)
    .join(' or ')})`
}

/** So few that each is a lookup of its own, whatever the server allows its optimizer. */
const partSize = 500

/** The same in parts that a list in a statement may have. */
export function inParts<Value>(values: readonly Value[]): readonly (readonly Value[])[] {
  return Array.from({ length: Math.ceil(values.length / partSize) }, (_, part) =>
    values.slice(part * partSize, (part + 1) * partSize),
  )
}

/** One column of a table that a statement is given. `hex` is bytes as digits: read it by `unhex(…)`. */
export type GivenType = 'integer' | 'hex' | 'word' | 'text'

const sqlTypes: Readonly<Record<GivenType, string>> = {
  integer: 'bigint',
  // as long as the longest name, twice
  hex: 'varchar(1024) character set latin1',
  word: 'varchar(16) character set latin1',
  text: 'longtext character set utf8mb4',
}

export type GivenValue = string | number | boolean | null

/**
 * SQL for a table `alias` made of `rows`, with the columns given and `nth`, which counts the rows from 1.
 *
 * One JSON text in the statement, whatever the number of rows.
 */
export function givenTable(
  alias: string,
  columns: Readonly<Record<string, GivenType>>,
  rows: readonly (readonly GivenValue[])[],
): string {
  const paths = Object.entries(columns).map(([name, type], index) => `${name} ${sqlTypes[type]} path '$[${index}]'`)
  const json = JSON.stringify(
    rows.map((row) => row.map((value) => (typeof value === 'boolean' ? Number(value) : value))),
  )
  return `json_table(convert(${textLiteral(json)} using utf8mb4), '$[*]' columns (nth for ordinality, ${paths.join(', ')})) ${alias}`
}

/** What the database can store of a text: no half of a surrogate pair. For words of others, not payloads. */
export function storable(text: string): string {
  return text.replace(unstorable, '\ufffd')
}

export function isStorable(text: string): boolean {
  return text.search(unstorable) < 0
}

const unstorable = /\p{Surrogate}/gu
