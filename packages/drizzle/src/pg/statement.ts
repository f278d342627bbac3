/** A statement's text, with `$1`, `$2`, … for its values. */
export interface Statement {
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

function escaped(value: string): string {
  return /["\\]/.test(value) ? value.replace(/["\\]/g, '\\$&') : value
}

/** Text in SQL, whatever `standard_conforming_strings` says. Our drivers speak UTF-8, where no byte hides a quote. */
export function literal(value: Value): string {
  if (value === null) return 'NULL'
  return `E'${value.replace(/['\\]/g, (character) => (character === "'" ? "''" : '\\\\'))}'`
}

/** The parts of a text between its placeholders, and which value stands after each part but the last. */
export function partsOf({ text, values }: Statement): { readonly parts: readonly string[]; readonly between: readonly Value[] } {
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
  return parts.map((part, index) => (index === 0 ? part : literal(between[index - 1] ?? null) + part)).join('')
}

function valueAt(values: readonly Value[], place: number): Value {
  const value = values[place - 1]
  if (value === undefined) throw new RangeError(`The statement names $${place}, but has ${values.length} values.`)
  return value
}
