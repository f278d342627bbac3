import { type CallOptions, OutboxError } from '@outbox/core'
import { setUpOf, takenBy } from '../shared/set-up.ts'
import { roomRemedy, selectDatabase } from './errors.ts'
import { statementLength } from './insert.ts'
import { type Column, inboxLayout, inboxVersion, layout, layoutVersion, type TableLayout } from './layout.ts'
import { textLiteral } from './literals.ts'
import { type Names, tableKinds } from './names.ts'
import { needs, type Privilege } from './privileges.ts'
import { accessTo } from './probe.ts'
import { numberIn, type Row, textIn, textOrNullIn } from './rows.ts'
import type { Session } from './session.ts'

/** One outbox, or one inbox, as a check sees it. */
export interface Subject {
  readonly title: 'outbox' | 'inbox'
  readonly names: Names
  readonly tables: readonly Table[]
  /** where its version is written down, in the table `meta` */
  readonly versionKey: string
  readonly version: number
  /** what makes its tables */
  readonly remedy: string
}

export interface Table {
  /** ready to stand in SQL */
  readonly name: string
  readonly bareName: string
  readonly layout: TableLayout
  readonly privileges: readonly Privilege[]
}

/** An outbox, for the user that a relay connects as. */
export function outboxSubject(names: Names): Subject {
  const { calls, exported } = setUpOf(names)
  return {
    title: 'outbox',
    names,
    tables: tableKinds.map((kind) => ({
      name: names[kind],
      bareName: `${names.prefix}${kind}`,
      layout: layout[kind],
      privileges: needs.relay[kind] ?? [],
    })),
    versionKey: 'version',
    version: layoutVersion,
    remedy: `Export ${exported.outbox} of '@outbox/drizzle/mysql/schema' in your drizzle schema and migrate with drizzle-kit, or call ${calls.setup}, or run the text of ${calls.setupSql}.`,
  }
}

/** An inbox, for the user that a consumer connects as. */
export function inboxSubject(names: Names): Subject {
  const { calls, exported } = setUpOf(names)
  const bareName = `${names.prefix}inbox`
  return {
    title: 'inbox',
    names,
    tables: [{ name: names.inbox, bareName, layout: inboxLayout, privileges: needs.inbox.inbox ?? [] }],
    versionKey: 'inbox-version',
    version: inboxVersion,
    remedy: `Export ${exported.inbox} of '@outbox/drizzle/mysql/schema' in your drizzle schema and migrate with drizzle-kit, or call ${calls.setupInbox}, or run the text of ${calls.setupInboxSql}.`,
  }
}

/** `check` of a store. @throws {OutboxError} `setup-required`, naming everything that is missing or too old */
export async function check(session: Session, subject: Subject, options?: CallOptions): Promise<void> {
  const { title, remedy, tables, names } = subject
  // updates and deletes that join need one, though they name the database of every table
  await checkServer(session, subject, true, options)
  const found = await lookAt(session, subject, options)
  const structure: string[] = []
  const privileges: string[] = []
  const seen: Table[] = []
  for (const table of tables) {
    const access = await accessTo(session, table, options)
    privileges.push(...access.missing.map((privilege) => `privilege ${privilege} on ${table.name}`))
    // what the user may not read, and need not, is not looked at: the catalog hides its columns
    if (!access.isAbsent && !access.isReadable) continue
    seen.push(table)
    structure.push(...faultsOf(table, found.get(table.bareName), names.prefix))
  }
  const missing = [...structure, ...privileges]
  refuseTaken(title, seen, found, missing)
  if (structure.length > 0) throw setupRequired(`The ${title} is not set up.`, missing, remedy)
  if (privileges.length > 0) {
    throw setupRequired(
      `The user of the connection may not use the ${title}.`,
      privileges,
      'Grant them: the README of @outbox/drizzle has the statements for each kind of process.',
    )
  }
  await checkVersion(session, subject, options)
}

/** Around what is counted: of an entry, which goes to the server as digits, two a byte, and of a batch. */
const textAroundBytes = 65_536

/** Whether the largest payload fits in a statement, and a batch. @throws {OutboxError} `setup-required` */
export async function checkRoom(session: Session, maxPayloadBytes: number, options?: CallOptions): Promise<void> {
  const [row] = await session.read('select @@max_allowed_packet as bytes', options)
  const needed = Math.max(2 * maxPayloadBytes, statementLength) + textAroundBytes
  if (!row || numberIn(row, 'bytes') >= needed) return
  const missing = [`a max_allowed_packet of ${needed} bytes or more; it is ${numberIn(row, 'bytes')}`]
  throw setupRequired('The server takes no statement as large as the largest payload makes it.', missing, roomRemedy)
}

/**
 * The tables, columns and indexes that are not there, or not as they should be.
 *
 * @throws {OutboxError} `setup-required` for a server too old, for tables of another version, and where a table is there
 *   that lacks columns
 */
export async function missingStructure(
  session: Session,
  subject: Subject,
  options?: CallOptions,
): Promise<readonly string[]> {
  await checkServer(session, subject, subject.names.schema === undefined, options)
  await checkVersion(session, subject, options)
  const found = await lookAt(session, subject, options)
  const missing = subject.tables.flatMap((table) => faultsOf(table, found.get(table.bareName), subject.names.prefix))
  refuseTaken(subject.title, subject.tables, found, missing)
  return missing
}

/** Tables that are there without all of their columns are somebody else's, or of an older version. */
function refuseTaken(
  title: Subject['title'],
  tables: readonly Table[],
  found: ReadonlyMap<string, Found>,
  missing: readonly string[],
): void {
  const taken = tables.filter(({ bareName, layout: { columns } }) => {
    const table = found.get(bareName)
    return table && Object.keys(columns).some((column) => !table.columns.has(column))
  })
  if (taken.length === 0) return
  const names = taken.map(({ name }) => name)
  const { sentence, remedy } = takenBy(title, names, 'prefix or schema')
  throw setupRequired(sentence, missing, remedy)
}

/** What defaults that are expressions, `json_table` and `skip locked` ask for. */
const oldest = { MySQL: '8.0.13', MariaDB: '10.6' }

async function checkServer(
  session: Session,
  { title }: Subject,
  needsDatabase: boolean,
  options?: CallOptions,
): Promise<void> {
  const text = 'select version() as version, @@autocommit as commits, database() as selected'
  const [row] = await session.read(text, options)
  if (!row) throw new TypeError('The server does not tell its version.')
  const version = textIn(row, 'version')
  const server = version.includes('MariaDB') ? 'MariaDB' : 'MySQL'
  if (version.localeCompare(oldest[server], 'en', { numeric: true }) < 0 || version.includes('TiDB')) {
    const missing = [`MySQL ${oldest.MySQL} or newer, or MariaDB ${oldest.MariaDB} or newer; this is ${version}`]
    throw setupRequired(`The ${title} does not run on this server.`, missing, 'Upgrade the server.')
  }
  if (needsDatabase && textOrNullIn(row, 'selected') === null) {
    throw setupRequired(`These connections have no database selected.`, ['a database'], selectDatabase)
  }
  // the variable has one name or the other
  const [level] = await session.read(
    `show session variables where variable_name in ('transaction_isolation', 'tx_isolation')`,
    options,
  )
  const missing = [
    ...(numberIn(row, 'commits') === 1 ? [] : ['autocommit = 1']),
    ...(level && textIn(level, 'Value') === 'READ-UNCOMMITTED' ? ['an isolation level above READ UNCOMMITTED'] : []),
  ]
  if (missing.length > 0) {
    throw setupRequired(
      `The ${title} cannot work on these connections.`,
      missing,
      'Each call is statements that commit by themselves, and must not see what is not committed: change the settings of the pool.',
    )
  }
}

/** What the catalog says of a table. */
interface Found {
  readonly engine: string
  readonly columns: ReadonlyMap<string, Row>
  /** `name (column, column)` */
  readonly indexes: ReadonlySet<string>
}

async function lookAt(session: Session, subject: Subject, options?: CallOptions): Promise<ReadonlyMap<string, Found>> {
  const { names, tables } = subject
  const schema = names.schema === undefined ? 'database()' : textLiteral(names.schema)
  const where = (alias: string): string =>
    `${alias}.table_schema = ${schema} and ${alias}.table_name in (${tables.map(({ bareName }) => textLiteral(bareName)).join(', ')})`
  const text = `
select 'table' as kind, t.table_name as name, t.engine as item, null as type, null as charset
from information_schema.tables t where ${where('t')}
union all
select 'column', c.table_name, c.column_name, c.column_type, c.character_set_name
from information_schema.columns c where ${where('c')}
union all
select 'index', s.table_name, s.index_name, group_concat(s.column_name order by s.seq_in_index separator ', '),
  min(s.non_unique)
from information_schema.statistics s where ${where('s')} group by s.table_name, s.index_name`
  const rows = await session.read(text, options)
  const tablesFound = rows.filter((row) => textIn(row, 'kind') === 'table')
  return new Map(tablesFound.map((table) => [textIn(table, 'name'), foundOf(table, rows)]))
}

function foundOf(table: Row, rows: readonly Row[]): Found {
  const of = (kind: string): readonly Row[] =>
    rows.filter((row) => textIn(row, 'kind') === kind && textIn(row, 'name') === textIn(table, 'name'))
  return {
    engine: textOrNullIn(table, 'item') ?? 'a view',
    columns: new Map(of('column').map((row) => [textIn(row, 'item'), row])),
    indexes: new Set(
      of('index').map((row) => indexText(textIn(row, 'item'), textIn(row, 'type'), numberIn(row, 'charset') === 0)),
    ),
  }
}

function indexText(name: string, columns: string, isUnique: boolean): string {
  return `${isUnique ? 'unique ' : ''}index ${name} (${columns})`
}

function faultsOf(table: Table, found: Found | undefined, prefix: string): readonly string[] {
  const { name, layout: wanted } = table
  if (!found) return [`table ${name}`]
  if (found.engine.toLowerCase() !== 'innodb') return [`engine InnoDB of ${name}; it is ${found.engine}`]
  const columns = Object.entries(wanted.columns).flatMap(([column, shape]) =>
    columnFault(`${name}.${column}`, shape, found.columns.get(column)),
  )
  const indexes = [
    indexText('PRIMARY', wanted.primaryKey.join(', '), true),
    ...Object.entries(wanted.indexes).map(([index, of]) =>
      indexText(`${prefix}${index}`, of.columns.join(', '), of.isUnique),
    ),
  ].filter((index) => !found.indexes.has(index))
  return [...columns, ...indexes.map((index) => `${index} on ${name}`)]
}

/** A name in a column of text would be compared by its collation, and two ids that differ by case would be one. */
function columnFault(column: string, { type, rest }: Column, row: Row | undefined): readonly string[] {
  if (!row) return [`column ${column}`]
  const found = textIn(row, 'type')
    .toLowerCase()
    .replace(/\b(tinyint|int|bigint)\(\d+\)/, '$1')
  if (found !== type) return [`column ${column} of type ${type}; it is ${found}`]
  const charset = textOrNullIn(row, 'charset')
  return rest.includes('utf8mb4') && charset !== 'utf8mb4' ? [`column ${column} in utf8mb4; it is in ${charset}`] : []
}

async function checkVersion(session: Session, subject: Subject, options?: CallOptions): Promise<void> {
  const { names, versionKey, version, title } = subject
  // an inbox may stand alone, or beside a table of somebody else's
  if (!(await hasMeta(session, names, options))) return
  const [row] = await session.read(
    `select value from ${names.meta} where \`key\` = ${textLiteral(versionKey)}`,
    options,
  )
  if (!row) return
  const written = numberOf(textIn(row, 'value'))
  if (written < version) {
    throw setupRequired(
      `The tables of the ${title} are older than this process.`,
      [`version ${version} of the ${title}'s tables; these are version ${written}`],
      `Run the migration to version ${version} that the changelog of @outbox/drizzle gives; drizzle-kit alone does not know it.`,
    )
  }
  if (written > version) {
    throw setupRequired(
      `The tables of the ${title} are newer than this process.`,
      [`a newer @outbox/drizzle: the ${title}'s tables are version ${written}, this package knows ${version}`],
      'Update @outbox/drizzle here before you go on: an older one would misread what the newer ones write.',
    )
  }
}

function numberOf(version: string): number {
  return /^\d{1,9}$/.test(version) ? Number(version) : 0
}

async function hasMeta(session: Session, names: Names, options?: CallOptions): Promise<boolean> {
  const schema = names.schema === undefined ? 'database()' : textLiteral(names.schema)
  const columns = Object.keys(layout.meta.columns)
  const rows = await session.read(
    `select column_name as name from information_schema.columns where table_schema = ${schema} and table_name = ${textLiteral(`${names.prefix}meta`)}`,
    options,
  )
  const found = rows.map((row) => textIn(row, 'name'))
  return columns.every((column) => found.includes(column))
}

export function setupRequired(
  sentence: string,
  missing: readonly string[],
  remedy: string,
): OutboxError<'setup-required'> {
  const list = missing.map((one) => `\n- ${one}`).join('')
  return new OutboxError('setup-required', `${sentence} Missing:${list}\n${remedy}`, { missing })
}
