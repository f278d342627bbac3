import { type CallOptions, OutboxError } from '@outbox/core'
import { getTableConfig } from 'drizzle-orm/sqlite-core'
import { takenBy } from '../shared/set-up.ts'
import { refusedSetup, setupRequired } from './errors.ts'
import { textOf } from './rows.ts'
import { type Query, query, type Steps } from './steps.ts'
import type { Subject } from './subjects.ts'
import type { Transact } from './transact.ts'

/** `unixepoch('subsec')` came with 3.42, the youngest of what the statements need. */
const oldestVersion: readonly [major: number, minor: number] = [3, 42]

/**
 * `check` of a store: SQLite's version, every table, column and index, and that this connection may write.
 *
 * @param lock - a statement that only who may write can run
 * @throws {OutboxError} `setup-required`, naming everything that is missing
 */
export async function check(transact: Transact, subject: Subject, lock: Query, options?: CallOptions): Promise<void> {
  const missing = await transact('read', () => missingParts(subject), options)
  if (missing.length > 0) throw setupRequired({ title: subject.title, prefix: subject.names.prefix }, missing)
  try {
    await transact('write', () => run(lock), options)
  } catch (error) {
    if (!isReadOnly(error)) throw error
    throw refusedSetup(
      `This connection may not write to the tables of the ${subject.title}.`,
      ['the right to write'],
      'Open the file to be written, and look at its rights and those of its directory.',
      { cause: error },
    )
  }
}

function* run(statement: Query): Steps<void> {
  yield statement
}

/**
 * The tables, columns and indexes that are not there, which setting up can make.
 *
 * @throws {OutboxError} `setup-required` for a SQLite too old, for tables of another version, and where a table is there
 *   that lacks columns
 */
export function* missingParts(subject: Subject): Steps<readonly string[]> {
  const { title } = subject
  yield* checkSqlite(title)
  const missing: string[] = []
  const taken: string[] = []
  let isHidden = false
  for (const table of subject.tables) {
    const { name, columns, indexes } = getTableConfig(table)
    if ((yield* columnsOf(name, 'temp')).size > 0) {
      missing.push(`table ${name} (a temporary one of that name hides it)`)
      isHidden = true
    }
    const found = yield* columnsOf(name)
    if (found.size === 0) {
      missing.push(`table ${name}`)
      continue
    }
    const lacking = columns.filter((column) => !found.has(column.name))
    if (lacking.length > 0) taken.push(name)
    for (const column of lacking) missing.push(`column ${name}.${column.name}`)
    const foundIndexes = new Set((yield* query(indexesOfTable, name)).map((row) => textOf(row, 'name')))
    for (const { config } of indexes) if (!foundIndexes.has(config.name)) missing.push(`index ${config.name}`)
  }
  if (taken.length > 0) {
    const { sentence, remedy } = takenBy(title, taken, 'prefix')
    throw refusedSetup(sentence, missing, remedy)
  }
  if (isHidden) {
    const remedy = `Drop what is temporary, or give the ${title} another prefix, everywhere the same.`
    throw refusedSetup(`On this connection the ${title} is hidden.`, missing, remedy)
  }
  // tables that are not all there say nothing about their version
  if (missing.length === 0) yield* checkVersion(subject)
  return missing
}

function* checkSqlite(title: Subject['title']): Steps<void> {
  const version = (yield* query('SELECT sqlite_version() AS version')).map((row) => textOf(row, 'version'))[0] ?? ''
  if (!isTooOld(version)) return
  const missing = `SQLite ${oldestVersion.join('.')} or newer (this is ${version})`
  throw refusedSetup(`The ${title} does not run on this SQLite.`, [missing], 'Update the driver, which brings it.')
}

function* checkVersion({ names: { meta }, versionKey, version: known, title }: Subject): Steps<void> {
  const columns = yield* columnsOf(meta)
  // beside an inbox it may be missing, or somebody else's
  if (!columns.has('key') || !columns.has('value')) return
  const [row] = yield* query(`SELECT value FROM ${meta} WHERE key = ?`, versionKey)
  const version = row ? Number(textOf(row, 'value')) : known
  if (version < known) {
    throw refusedSetup(
      `The tables of the ${title} are older than this process.`,
      [`version ${known} of the tables (these are version ${version})`],
      `Run the migration to version ${known} that the changelog of @outbox/drizzle gives; drizzle-kit alone does not know it.`,
    )
  }
  if (version > known) {
    throw refusedSetup(
      `The tables of the ${title} are newer than this process.`,
      [`a newer @outbox/drizzle (the tables are version ${version}, this package knows ${known})`],
      'Update @outbox/drizzle here before you go on: an older one would misread what the newer ones write.',
    )
  }
}

/**
 * xinfo, because table_info hides generated columns.
 *
 * A name in a statement stands for a temporary table, then for one of the database's own file, then for one of a file that
 * was attached: an outbox there is another one.
 */
function* columnsOf(table: string, schema: 'main' | 'temp' = 'main'): Steps<ReadonlySet<string>> {
  const rows = yield* query('SELECT name FROM pragma_table_xinfo(?, ?)', table, schema)
  return new Set(rows.map((row) => textOf(row, 'name')))
}

const indexesOfTable = "SELECT name FROM pragma_index_list(?, 'main')"

function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < oldestVersion[0] || (major === oldestVersion[0] && minor < oldestVersion[1])
}

function isReadOnly(error: unknown): boolean {
  if (!OutboxError.is(error, 'unavailable')) return false
  const { cause } = error
  return cause instanceof Error && 'code' in cause && String(cause.code).startsWith('SQLITE_READONLY')
}
