import { OutboxError } from '@outbox/core'
import { getTableConfig } from 'drizzle-orm/sqlite-core'
import { setupRequired } from './errors.ts'
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
export async function check(
  transact: Transact,
  subject: Subject,
  lock: Query,
  options?: { signal?: AbortSignal },
): Promise<void> {
  const missing = await transact('read', () => missingParts(subject), options)
  if (missing.length > 0) throw setupRequired(subject.title, missing)
  try {
    await transact('write', () => run(lock), options)
  } catch (error) {
    throw isReadOnly(error) ? setupRequired(subject.title, ['the right to write'], { cause: error }) : error
  }
}

function* run(statement: Query): Steps<void> {
  yield statement
}

/** What the tables lack, or in what they are ahead. */
export function* missingParts(subject: Subject): Steps<readonly string[]> {
  const missing: string[] = []
  const version = (yield* query('SELECT sqlite_version() AS version')).map((row) => textOf(row, 'version'))[0] ?? ''
  if (isTooOld(version)) missing.push(`SQLite ${oldestVersion.join('.')} or newer (this is ${version})`)
  for (const table of subject.tables) {
    const { name, columns, indexes } = getTableConfig(table)
    if ((yield* columnsOf(name, 'temp')).size > 0) missing.push(`table ${name} (a temporary one of that name hides it)`)
    const found = yield* columnsOf(name)
    if (found.size === 0) {
      missing.push(`table ${name}`)
      continue
    }
    for (const column of columns) if (!found.has(column.name)) missing.push(`column ${name}.${column.name}`)
    const foundIndexes = new Set((yield* query(indexesOfTable, name)).map((row) => textOf(row, 'name')))
    for (const { config } of indexes) if (!foundIndexes.has(config.name)) missing.push(`index ${config.name}`)
  }
  // tables that are not all there say nothing about their version
  return missing.length > 0 ? missing : yield* versionFaults(subject)
}

function* versionFaults({ names: { meta }, versionKey, version: known }: Subject): Steps<readonly string[]> {
  if ((yield* columnsOf(meta)).size === 0) return []
  const [row] = yield* query(`SELECT value FROM ${meta} WHERE key = ?`, versionKey)
  const version = row ? Number(textOf(row, 'value')) : known
  if (version < known) return [`version ${known} of the tables (these are version ${version})`]
  if (version === known) return []
  return [`a newer @outbox/drizzle (the tables are version ${version}, this package knows ${known})`]
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
