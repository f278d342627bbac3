import { inboxSubject, missingStructure, outboxSubject, type Subject, setupRequired } from './check.ts'
import { checkDatabase, type MysqlDatabase } from './handles.ts'
import type { TableLayout } from './layout.ts'
import { type Names, namesFor, type Place, quoted } from './names.ts'
import { sessionOn } from './session.ts'

/**
 * The SQL that makes the tables of an outbox, for those who write their migrations by hand.
 *
 * Every statement leaves what is there already alone, so running it again changes nothing. It makes what the tables
 * of `@outbox/drizzle/mysql/schema` make through drizzle-kit; the database itself is not created.
 */
export function setupSql(place: Place = {}): string {
  return textOf(statementsFor(outboxSubject(namesFor('setupSql', place))))
}

/** As `setupSql`, for the table of an inbox. */
export function setupInboxSql(place: Place = {}): string {
  return textOf(statementsFor(inboxSubject(namesFor('setupInboxSql', place))))
}

/**
 * Makes the tables that are missing; safe to call again, and from several processes at once.
 *
 * Where nothing is missing it only reads, and waits for nobody, so it may run at every start. Needs the right to
 * create tables; a relay or a producer needs less. Those who migrate with drizzle-kit do not call it. A database that
 * is named and missing is created too.
 *
 * @throws {OutboxError} `invalid-option` · `setup-required` when the privileges do not suffice, no database is selected,
 *   or the tables that are there are of another version or not as they should be: that takes a migration, or a place
 *   of the outbox's own · `unavailable`, `busy`
 */
export async function setup(db: MysqlDatabase, place: Place = {}): Promise<void> {
  await makeMissing(db, outboxSubject(namesFor('setup', place)))
}

/** As `setup`, for an inbox: its table, and nothing of an outbox. */
export async function setupInbox(db: MysqlDatabase, place: Place = {}): Promise<void> {
  await makeMissing(db, inboxSubject(namesFor('setupInbox', place)))
}

async function makeMissing(db: MysqlDatabase, subject: Subject): Promise<void> {
  const { names, title } = subject
  checkDatabase(db)
  const session = sessionOn(db, { names, use: 'relay' })
  if ((await missingStructure(session, subject)).length === 0) return
  const schema = names.schema === undefined ? [] : [`create database if not exists ${quoted(names.schema)}`]
  // MySQL has no transaction around these; each stands for itself, and several processes may run the same one at once
  for (const statement of [...schema, ...statementsFor(subject)]) await session.write(statement)
  const missing = await missingStructure(session, subject)
  if (missing.length === 0) return
  throw setupRequired(
    `The tables of the ${title} are there, and not as this version of @outbox/drizzle needs them.`,
    missing,
    'Setting up makes tables, and alters none: migrate with drizzle-kit, or change by hand what is named.',
  )
}

function textOf(statements: readonly string[]): string {
  return `${statements.join(';\n\n')};\n`
}

function statementsFor({ tables, names }: Subject): readonly string[] {
  return tables.map(({ name, layout }) => createTable(name, layout, names))
}

function createTable(name: string, { columns, primaryKey, indexes }: TableLayout, { prefix }: Names): string {
  const listed = (of: readonly string[]): string => `(${of.map(quoted).join(', ')})`
  const lines = [
    ...Object.entries(columns).map(([column, { type, rest }]) => `${quoted(column)} ${type}${rest}`),
    `primary key ${listed(primaryKey)}`,
    ...Object.entries(indexes).map(
      ([index, of]) => `${of.isUnique ? 'unique ' : ''}key ${quoted(`${prefix}${index}`)} ${listed(of.columns)}`,
    ),
  ]
  return `create table if not exists ${name} (\n  ${lines.join(',\n  ')}\n) engine = InnoDB row_format = dynamic`
}
