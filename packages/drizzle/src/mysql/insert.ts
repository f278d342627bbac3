import type { NumberedEntry } from './enqueue.ts'
import { textLiteral, timeLiteral, uuidLiteral } from './literals.ts'
import type { Names } from './names.ts'

/**
 * Characters of one statement: well below what a server takes at once (`max_allowed_packet`, 16 MB by default on
 * MariaDB). A text that is not plain ASCII takes two characters a byte.
 */
export const statementLength = 4_000_000

/** Characters of a literal that is put into a variable where the batch is large. Ids and times are shorter. */
const longLiteral = 40

/** What inserts a batch: one statement, so that all is written or nothing, and what has to be sent around it. */
export interface Insertion {
  /** puts long literals into variables of the session, where the batch is too large for one statement otherwise */
  readonly before: readonly string[]
  /** fails if not all of `before` went through */
  readonly insert: string
  /** empties the variables */
  readonly after: readonly string[]
}

export function insertion({ entries }: Names, batch: readonly NumberedEntry[]): Insertion {
  const rows = batch.map(valuesOf)
  const length = rows.flat().reduce((sum, value) => sum + value.length, 0)
  if (length <= statementLength) return { before: [], insert: insertStatement(entries, rows), after: [] }
  const variables = new Map<string, string>()
  const short = rows.map((row) => row.map((value) => (value.length > longLiteral ? held(variables, value) : value)))
  const before = assignments(variables).map(
    (texts, nth) => `set ${texts.join(', ')}, ${counter} = ${nth === 0 ? 1 : `${counter} + 1`}`,
  )
  const names = [...variables.values(), counter]
  return {
    before,
    insert: insertStatement(entries, onlyAfter(before.length, short)),
    after: [`set ${names.map((name) => `${name} = null`).join(', ')}`],
  }
}

const columns = [
  'id',
  '`partition`',
  'aggregate_type',
  'aggregate_id',
  'event_type',
  'sequence',
  'payload',
  'headers',
  'occurred_at',
]

type Values = readonly string[]

function valuesOf(entry: NumberedEntry): Values {
  return [
    uuidLiteral(entry.id),
    `${entry.partition}`,
    textLiteral(entry.aggregateType),
    textLiteral(entry.aggregateId),
    textLiteral(entry.eventType),
    `${entry.sequence}`,
    textLiteral(entry.payload),
    textLiteral(JSON.stringify(entry.headers)),
    timeLiteral(entry.occurredAt),
  ]
}

function insertStatement(entries: string, rows: readonly Values[]): string {
  return `insert into ${entries} (${columns.join(', ')}) values ${rows.map((row) => `(${row.join(', ')})`).join(', ')}`
}

/** The variable that counts the statements before the insert that went through. */
const counter = '@outbox_counter'

/** @returns the variable that holds `literal` */
function held(variables: Map<string, string>, literal: string): string {
  const name = variables.get(literal) ?? `@outbox_${variables.size + 1}`
  variables.set(literal, name)
  return name
}

/** Those of one statement each. */
function assignments(variables: ReadonlyMap<string, string>): readonly (readonly string[])[] {
  const statements: string[][] = []
  let length = Infinity
  for (const [literal, name] of variables) {
    if (length + literal.length > statementLength) {
      statements.push([])
      length = 0
    }
    statements.at(-1)?.push(`${name} = ${literal}`)
    length += literal.length
  }
  return statements
}

/** The same rows, but an error where fewer statements went through: a subquery of two rows is one in every `sql_mode`. */
function onlyAfter(statements: number, [first = [], ...others]: readonly Values[]): readonly Values[] {
  const [id = '', ...rest] = first
  return [[`if(${counter} = ${statements}, ${id}, (select 1 union select 2))`, ...rest], ...others]
}
