/** A statement's text, with `$1`, `$2`, … for its values. */
export interface Statement {
  /** of a relay's everyday statements, which are prepared: one text has one name */
  readonly name?: string | undefined
  readonly text: string
  readonly values: readonly Value[]
}

/**
 * All values travel as text, and the statement casts them (`$1::text::uuid[]`): drivers differ in how they send
 * numbers, dates and arrays, and a text they all send alike.
 */
export type Value = string | null

/** An array in PostgreSQL's own notation, to be cast to the type it shall have. */
export function arrayOf(values: Iterable<string | number | boolean | null>): string {
  let text = '{'
  for (const value of values) {
    if (text.length > 1) text += ','
    if (value === null) text += 'NULL'
    else if (typeof value === 'string') text += `"${escaped(value)}"`
    else text += String(value)
  }
  return `${text}}`
}

/**
 * SQL for a table `given (id)` of the uuids in the first value. A table to be joined, because the planner may look
 * through `= any(…)` row by row: thousands of ids took seconds that way.
 */
export const idsGiven: string = 'unnest($1::text::uuid[]) as given (id)'

function escaped(value: string): string {
  return /["\\]/.test(value) ? value.replace(/["\\]/g, '\\$&') : value
}

/** A number of rows or bytes to be written into SQL: whole, not negative, and finite where no limit was meant. */
export function whole(value: number): number {
  return Math.min(Math.max(0, Math.floor(value) || 0), Number.MAX_SAFE_INTEGER)
}

/** What PostgreSQL can store of a text: no U+0000, and no half of a surrogate pair. For words of others, not payloads. */
export function storable(text: string): string {
  return text.replace(unstorable, '\ufffd')
}

export function isStorable(text: string): boolean {
  return text.search(unstorable) < 0
}

const unstorable = /[\0\p{Surrogate}]/gu

/** Text in SQL, whatever `standard_conforming_strings` says. Our drivers speak UTF-8, where no byte hides a quote. */
export function literal(value: Value): string {
  if (value === null) return 'NULL'
  return `E'${value.replace(/['\\]/g, (character) => (character === "'" ? "''" : '\\\\'))}'`
}

/** The parts of a text between its placeholders, and which value stands after each part but the last. */
export function partsOf({ text, values }: Statement): {
  readonly parts: readonly string[]
  readonly between: readonly Value[]
} {
  const parts: string[] = []
  const between: Value[] = []
  for (const [index, part] of text.split(/\$(\d+)/).entries()) {
    if (index % 2 === 0) parts.push(part)
    else between.push(valueAt(values, Number(part)))
  }
  return { parts, between }
}

/** The statement with its values written into it. */
export function inlined(statement: Statement): string {
  const { parts, between } = partsOf(statement)
  return parts.map((part, index) => (index === 0 ? part : inDollars(between[index - 1] ?? null) + part)).join('')
}

/**
 * `literal`, cheaper: between dollars nothing is escaped, and JSON has a lot to escape. Not for text that is to have
 * placeholders, whose signs it has.
 */
function inDollars(value: Value): string {
  if (value === null) return literal(value)
  const closed = `${value}${dollars}`
  return closed.indexOf(dollars) === value.length ? `${dollars}${closed}` : literal(value)
}

const dollars = '$o$'

function valueAt(values: readonly Value[], place: number): Value {
  const value = values[place - 1]
  if (value === undefined) throw new RangeError(`The statement names $${place}, but has ${values.length} values.`)
  return value
}
