import { OutboxError } from '@outbox/core'
import { getTableConfig } from 'drizzle-orm/sqlite-core'
import type { Transact } from './connection.ts'
import { setupRequired } from './errors.ts'
import { type TableNames, tablesVersion } from './names.ts'
import { textOf } from './rows.ts'
import { outboxTables } from './schema.ts'
import { query, type Steps } from './steps.ts'

/** `unixepoch('subsec')` came with 3.42, the youngest of what the statements need. */
const oldestVersion: readonly [major: number, minor: number] = [3, 42]

/**
 * `LeasedSource.check`: SQLite's version, every table, column and index, and that this connection may write.
 *
 * @throws {OutboxError} `setup-required`, naming everything that is missing
 */
export async function check(transact: Transact, names: TableNames, options?: { signal?: AbortSignal }): Promise<void> {
  const missing = await transact('read', () => missingParts(names), options)
  if (missing.length > 0) throw setupRequired(missing)
  try {
    await transact('write', () => tryToWrite(names), options)
  } catch (error) {
    throw isReadOnly(error) ? setupRequired(['the right to write'], { cause: error }) : error
  }
}

function* missingParts(names: TableNames): Steps<readonly string[]> {
  const missing: string[] = []
  const version = (yield* query('SELECT sqlite_version() AS version')).map((row) => textOf(row, 'version'))[0] ?? ''
  if (isTooOld(version)) missing.push(`SQLite ${oldestVersion.join('.')} or newer (this is ${version})`)
  for (const table of Object.values(outboxTables({ prefix: names.prefix }))) {
    const { name, columns, indexes } = getTableConfig(table)
    const found = new Set((yield* query(columnsOfTable, name)).map((row) => textOf(row, 'name')))
    if (found.size === 0) {
      missing.push(`table ${name}`)
      continue
    }
    for (const column of columns) if (!found.has(column.name)) missing.push(`column ${name}.${column.name}`)
    const foundIndexes = new Set((yield* query(indexesOfTable, name)).map((row) => textOf(row, 'name')))
    for (const { config } of indexes) if (!foundIndexes.has(config.name)) missing.push(`index ${config.name}`)
  }
  // tables that are not all there say nothing about their version
  return missing.length > 0 ? missing : yield* versionFaults(names)
}

function* versionFaults({ meta }: TableNames): Steps<readonly string[]> {
  const [row] = yield* query(`SELECT value FROM ${meta} WHERE key = 'version'`)
  // the first relay that joins writes it down; until then the columns tell
  const version = row ? Number(textOf(row, 'value')) : tablesVersion
  if (version < tablesVersion) return [`version ${tablesVersion} of the tables (these are version ${version})`]
  if (version === tablesVersion) return []
  return [`a newer @outbox/drizzle (the tables are version ${version}, this package knows ${tablesVersion})`]
}

/** xinfo, because table_info hides generated columns */
const columnsOfTable = 'SELECT name FROM pragma_table_xinfo(?)'
const indexesOfTable = 'SELECT name FROM pragma_index_list(?)'

function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < oldestVersion[0] || (major === oldestVersion[0] && minor < oldestVersion[1])
}

/** Changes nothing, but only who may write can run it. */
function* tryToWrite({ meta }: TableNames): Steps<void> {
  yield* query(`UPDATE ${meta} SET value = value WHERE key = ''`)
}

function isReadOnly(error: unknown): boolean {
  if (!OutboxError.is(error, 'unavailable')) return false
  const { cause } = error
  return cause instanceof Error && 'code' in cause && String(cause.code).startsWith('SQLITE_READONLY')
}
