import { type CallOptions, OutboxError } from '@outbox/core'
import { layout, layoutVersion, type TableLayout } from './layout.ts'
import { type Names, type TableKind, tableKinds } from './names.ts'
import { booleanIn, numberIn, type Row, textIn, textsIn } from './rows.ts'
import type { Session } from './session.ts'
import { arrayOf } from './statement.ts'

/** `gen_random_uuid`, `xid8` and `MATERIALIZED` are there since 13. */
const oldestServer = 13

/** `LeasedSource.check`, for the role that a relay connects as. */
export async function check(session: Session, names: Names, options?: CallOptions): Promise<void> {
  const rows = await session.run({ text: checkText, values: tablesOf(names) }, options)
  const server = rows[0] ? numberIn(rows[0], 'server') : 0
  if (server < oldestServer) throw setupRequired([`PostgreSQL ${oldestServer} or newer; this is ${server}`])
  const absent = rows.filter((row) => !booleanIn(row, 'is_there')).map((row) => `table ${textIn(row, 'name')}`)
  const faults = rows.filter((row) => booleanIn(row, 'is_there')).flatMap((row) => faultsOf(row, names))
  const missing = [...absent, ...faults]
  // a table that cannot be read says nothing about its version
  if (missing.length === 0) missing.push(...(await versionFaults(session, names, options)))
  if (missing.length > 0) throw setupRequired(missing)
}

function tablesOf(names: Names): readonly [string, string] {
  return [arrayOf(tableKinds), arrayOf(tableKinds.map((kind) => names[kind]))]
}

const checkText = `
select t.kind, t.name, c.oid is not null as is_there,
  current_setting('server_version_num')::int / 10000 as server,
  (select coalesce(json_agg(a.attname), '[]')::text from pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
  (select coalesce(json_agg(i.relname), '[]')::text from pg_index x join pg_class i on i.oid = x.indexrelid
    where x.indrelid = c.oid and x.indisvalid) as indexes,
  (select coalesce(json_agg(p), '[]')::text from unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p
    where has_table_privilege(c.oid, p)) as privileges
from unnest($1::text::text[], $2::text::text[]) as t (kind, name)
left join pg_class c on c.oid = to_regclass(t.name)`

function faultsOf(row: Row, { prefix }: Names): string[] {
  const name = textIn(row, 'name')
  const expected = expectedOf(textIn(row, 'kind'))
  const isMissingIn = (column: string) => {
    const found = new Set(textsIn(row, column))
    return (wanted: string): boolean => !found.has(wanted)
  }
  const columns = expected.columns.filter(isMissingIn('columns'))
  const indexes = expected.indexes.map((index) => `${prefix}${index}`).filter(isMissingIn('indexes'))
  const privileges = expected.privileges.filter(isMissingIn('privileges'))
  return [
    ...columns.map((column) => `column ${name}.${column}`),
    ...indexes.map((index) => `index ${index} on ${name}`),
    ...privileges.map((privilege) => `privilege ${privilege} on ${name}`),
  ]
}

function expectedOf(kind: string): TableLayout {
  const known: TableKind | undefined = tableKinds.find((one) => one === kind)
  if (!known) throw new TypeError(`There is no table of kind ${kind}.`)
  return layout[known]
}

async function versionFaults(session: Session, { meta }: Names, options?: CallOptions): Promise<string[]> {
  const text = `select value from ${meta} where key = 'version'`
  const [row] = await session.run({ text, values: [] }, options)
  // The first relay that joins writes it down; until then the columns tell.
  const version = row ? Number(textIn(row, 'value')) : layoutVersion
  if (version < layoutVersion) return [`version ${layoutVersion} of the tables; these are version ${version}`]
  if (version > layoutVersion) {
    return [`a newer @outbox/drizzle: the tables are version ${version}, this package knows ${layoutVersion}`]
  }
  return []
}

function setupRequired(missing: readonly string[]): OutboxError<'setup-required'> {
  const list = missing.map((one) => `\n- ${one}`).join('')
  return new OutboxError(
    'setup-required',
    `The outbox in PostgreSQL is not set up. Missing:${list}\nExport the tables of '@outbox/drizzle/pg/schema' in your drizzle schema and migrate with drizzle-kit, or call setup(db), or run the text of setupSql().`,
    { missing },
  )
}
