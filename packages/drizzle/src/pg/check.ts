import { type CallOptions, OutboxError } from '@outbox/core'
import { setUpOf, takenBy } from '../shared/set-up.ts'
import { inboxLayout, inboxVersion, layout, layoutVersion, type TableLayout } from './layout.ts'
import { logLayout, logVersion } from './log/tables.ts'
import { type Names, tableKinds } from './names.ts'
import { needs, type Privilege } from './privileges.ts'
import { booleanIn, numberIn, type Row, textIn, textsIn } from './rows.ts'
import type { Session } from './session.ts'
import { arrayOf } from './statement.ts'

/** `gen_random_uuid`, `xid8` and `MATERIALIZED` are there since 13. */
const oldestServer = 13

/** One outbox, or one inbox, as a check sees it. */
export interface Subject {
  readonly title: 'outbox' | 'inbox'
  readonly names: Names
  readonly tables: readonly Table[]
  /** where its version is written down, in the table `meta` */
  readonly versionKey: string
  readonly version: number
  /** the same for what stands beside it */
  readonly beside?: undefined | { readonly versionKey: string; readonly version: number }
  /** what makes its tables */
  readonly remedy: string
}

interface Table {
  /** ready to stand in SQL */
  readonly name: string
  readonly bareName: string
  readonly layout: TableLayout
  readonly privileges: readonly Privilege[]
}

/** An outbox, for the role that a relay connects as. */
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
    remedy: `Export ${exported.outbox} of '@outbox/drizzle/pg/schema' in your drizzle schema and migrate with drizzle-kit, or call ${calls.setup}, or run the text of ${calls.setupSql}.`,
  }
}

/** An outbox with a log beside it, likewise. */
export function logSubject(names: Names): Subject {
  const outbox = outboxSubject(names)
  const { calls } = setUpOf(names, { engine: 'log' })
  const kinds = ['log', 'log_cursors', 'log_leaves'] as const
  return {
    ...outbox,
    tables: [
      ...outbox.tables.map((table) =>
        table.name === names.entries ? { ...table, privileges: needs.logRelay.entries ?? [] } : table,
      ),
      ...kinds.map((kind) => ({
        name: names[kind],
        bareName: `${names.prefix}${kind}`,
        layout: logLayout[kind],
        privileges: needs.logRelay[kind] ?? [],
      })),
    ],
    beside: { versionKey: 'log-version', version: logVersion },
    remedy: `Call ${calls.setup}, or run the text of ${calls.setupSql}, in a migration of your own: drizzle-kit does not make partitioned tables.`,
  }
}

/** An inbox, for the role that a consumer connects as. */
export function inboxSubject(names: Names): Subject {
  const { calls, exported } = setUpOf(names)
  const bareName = `${names.prefix}inbox`
  return {
    title: 'inbox',
    names,
    tables: [{ name: names.inbox, bareName, layout: inboxLayout, privileges: needs.inbox.inbox ?? [] }],
    versionKey: 'inbox-version',
    version: inboxVersion,
    remedy: `Export ${exported.inbox} of '@outbox/drizzle/pg/schema' in your drizzle schema and migrate with drizzle-kit, or call ${calls.setupInbox}, or run the text of ${calls.setupInboxSql}.`,
  }
}

/** `check` of a store. @throws {OutboxError} `setup-required`, naming everything that is missing or too old */
export async function check(session: Session, subject: Subject, options?: CallOptions): Promise<void> {
  const { tables, title, remedy } = subject
  const found = await lookAt(session, subject, options)
  const structure = structureFaults(found, subject)
  const privileges = tables.flatMap((table) => privilegeFaults(found, table))
  const missing = [...structure, ...privileges]
  const taken = takenIn(found, subject)
  if (taken.length > 0) throw tablesTaken(subject, taken, missing)
  if (structure.length > 0) throw setupRequired(`The ${title} in PostgreSQL is not set up.`, missing, remedy)
  if (privileges.length > 0) {
    throw setupRequired(
      `The role of the connection may not use the ${title} in PostgreSQL.`,
      privileges,
      'Grant them: the README of @outbox/drizzle has the statements for each kind of process.',
    )
  }
  await checkVersion(session, subject, found, options)
}

/**
 * The tables, columns and indexes that are not there.
 *
 * @throws {OutboxError} `setup-required` for a server too old, for tables of another version, and where a table is
 *   there that lacks columns, in the place where one would be made
 */
export async function missingStructure(session: Session, subject: Subject): Promise<readonly string[]> {
  const found = await lookAt(session, subject)
  await checkVersion(session, subject, found, undefined)
  const missing = structureFaults(found, subject)
  // one further down the search_path is in nobody's way: what is made will be found before it
  const taken = takenIn(found, subject).filter(({ name }) => isWhereMade(found.get(name)))
  if (taken.length > 0) throw tablesTaken(subject, taken, missing)
  return missing
}

/** The tables that are there without all of their columns: somebody else's, or of an older version. */
function takenIn(found: ReadonlyMap<string, Row>, { tables }: Subject): readonly Table[] {
  return tables.filter(({ name, layout: { columns } }) => {
    const row = found.get(name)
    return row && booleanIn(row, 'is_there') && lacking(columns, textsIn(row, 'columns')).length > 0
  })
}

function isWhereMade(row: Row | undefined): boolean {
  return row !== undefined && booleanIn(row, 'is_where_made')
}

function tablesTaken(
  { title }: Subject,
  tables: readonly Table[],
  missing: readonly string[],
): OutboxError<'setup-required'> {
  const names = tables.map(({ name }) => name)
  const { sentence, remedy } = takenBy(title, names, 'prefix or schema')
  return setupRequired(sentence, missing, remedy)
}

/** What the catalog says of the tables, by name. The last row is about `meta`. */
async function lookAt(session: Session, subject: Subject, options?: CallOptions): Promise<ReadonlyMap<string, Row>> {
  const { names, tables, title } = subject
  const bareNames = new Map(tables.map((table) => [table.name, table.bareName]))
  bareNames.set(names.meta, `${names.prefix}meta`)
  const values = [arrayOf(bareNames.keys()), arrayOf(bareNames.values()), names.schema ?? null]
  const rows = await session.run({ text: catalogText, values }, options)
  const server = rows[0] ? numberIn(rows[0], 'server') : 0
  if (server < oldestServer) {
    const missing = [`PostgreSQL ${oldestServer} or newer; this is ${server}`]
    throw setupRequired(`The ${title} does not run on this server.`, missing, 'Upgrade PostgreSQL.')
  }
  return new Map(rows.map((row) => [textIn(row, 'name'), row]))
}

const catalogText = `
select t.name, c.oid is not null as is_there,
  coalesce((select n.nspname = coalesce($3::text, current_schema()) from pg_namespace n where n.oid = c.relnamespace),
    false) as is_where_made,
  current_setting('server_version_num')::int / 10000 as server,
  (select coalesce(json_agg(a.attname), '[]')::text from pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
  (select coalesce(json_agg(i.relname), '[]')::text from pg_index x join pg_class i on i.oid = x.indexrelid
    where x.indrelid = c.oid and x.indisvalid) as indexes,
  -- granted on some columns is granted: which ones are needed, the first call that needs another tells
  (select coalesce(json_agg(p), '[]')::text from unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p
    where case p when 'DELETE' then has_table_privilege(c.oid, p) else has_any_column_privilege(c.oid, p) end)
    as privileges,
  (select coalesce(json_agg(n.nspname order by n.nspname), '[]')::text
    from pg_class other join pg_namespace n on n.oid = other.relnamespace
    where other.relname = t.bare_name and other.relkind in ('r', 'p')) as schemas
from unnest($1::text::text[], $2::text::text[]) as t (name, bare_name)
left join pg_class c on c.oid = to_regclass(t.name)`

function structureFaults(found: ReadonlyMap<string, Row>, { tables, names }: Subject): readonly string[] {
  return tables.flatMap((table) => {
    const row = found.get(table.name)
    if (!row || !booleanIn(row, 'is_there')) return [absent(table, row, names.schema)]
    const columns = lacking(table.layout.columns, textsIn(row, 'columns'))
    const indexes = lacking(
      table.layout.indexes.map((index) => `${names.prefix}${index}`),
      textsIn(row, 'indexes'),
    )
    return [
      ...columns.map((column) => `column ${table.name}.${column}`),
      ...indexes.map((index) => `index ${index} on ${table.name}`),
    ]
  })
}

/** Many a missing table is one that the connection does not see. Where a schema was named, others are not meant. */
function absent({ name }: Table, row: Row | undefined, schema: string | undefined): string {
  const schemas = row ? textsIn(row, 'schemas').filter((found) => schema === undefined || found === schema) : []
  if (schemas.length === 0) return `table ${name}`
  const remedy = schema === undefined ? ', and name it by the option schema or by search_path' : ''
  return `table ${name}, which is in the schema ${schemas.join(', ')}: grant usage on that${remedy}`
}

function privilegeFaults(found: ReadonlyMap<string, Row>, { name, privileges }: Table): readonly string[] {
  const row = found.get(name)
  if (!row || !booleanIn(row, 'is_there')) return []
  return lacking(privileges, textsIn(row, 'privileges')).map((privilege) => `privilege ${privilege} on ${name}`)
}

function lacking(wanted: readonly string[], found: readonly string[]): readonly string[] {
  return wanted.filter((one) => !found.includes(one))
}

async function checkVersion(
  session: Session,
  subject: Subject,
  found: ReadonlyMap<string, Row>,
  options: CallOptions | undefined,
): Promise<void> {
  const { names, versionKey, version, title, beside } = subject
  if (beside) await checkVersion(session, { ...subject, ...beside, beside: undefined }, found, options)
  const meta = found.get(names.meta)
  if (!meta || !booleanIn(meta, 'is_there') || !textsIn(meta, 'privileges').includes('SELECT')) return
  // somebody else's
  if (lacking(layout.meta.columns, textsIn(meta, 'columns')).length > 0) return
  const text = `select value from ${names.meta} where key = $1::text`
  const [row] = await session.run({ text, values: [versionKey] }, options)
  if (!row) return
  const written = numberIn(row, 'value')
  if (written < version) {
    const missing = [`version ${version} of the ${title}'s tables; these are version ${written}`]
    throw setupRequired(
      `The tables of the ${title} in PostgreSQL are older than this process.`,
      missing,
      `Run the migration to version ${version} that the changelog of @outbox/drizzle gives; drizzle-kit alone does not know it.`,
    )
  }
  if (written > version) {
    const missing = [
      `a newer @outbox/drizzle: the ${title}'s tables are version ${written}, this package knows ${version}`,
    ]
    throw setupRequired(
      `The tables of the ${title} in PostgreSQL are newer than this process.`,
      missing,
      'Update @outbox/drizzle here before you go on: an older one would misread what the newer ones write.',
    )
  }
}

export function setupRequired(
  sentence: string,
  missing: readonly string[],
  remedy: string,
): OutboxError<'setup-required'> {
  const list = missing.map((one) => `\n- ${one}`).join('')
  return new OutboxError('setup-required', `${sentence} Missing:${list}\n${remedy}`, { missing })
}
