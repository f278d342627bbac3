import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { OutboxError } from '@outbox/core'
import type { Pool } from 'pg'

export async function setupRequired(attempt: Promise<unknown>): Promise<OutboxError<'setup-required'>> {
  const error: unknown = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (OutboxError.is(error, 'setup-required')) return error
  throw new Error('Expected an OutboxError setup-required', { cause: error })
}

/** Everything that the catalog says of the tables, names without their prefix; sorted lines. */
export async function shapeOf(pool: Pool): Promise<readonly string[]> {
  const { rows } = await pool.query<{ line: string }>(`
    select format('%s.%s %s null:%s default:%s identity:%s generated:%s', c.relname, a.attname,
      format_type(a.atttypid, a.atttypmod), not a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
      a.attidentity, a.attgenerated) as line
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    union all
    select pg_get_indexdef(i.indexrelid)
    from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
    where n.nspname not in ('pg_catalog', 'pg_toast')
    union all
    select format('%s %s', conname, pg_get_constraintdef(x.oid))
    from pg_constraint x join pg_namespace n on n.oid = x.connamespace
    where n.nspname not in ('pg_catalog', 'information_schema')`)
  return rows.map(({ line }) => line).toSorted()
}

/** Runs drizzle-kit on a schema file as a user would. @returns the SQL of the migration that it wrote */
export async function migrationOf(schema: string): Promise<string> {
  const packageFolder = fileURLToPath(new URL('..', import.meta.url))
  // inside the package, so that `@outbox/drizzle` and drizzle-orm are found
  const folder = await mkdtemp(join(packageFolder, 'node_modules', '.kit-'))
  try {
    const file = join(folder, 'schema.ts')
    await writeFile(file, schema.replaceAll('@outbox/drizzle/pg/schema', join(packageFolder, 'src/pg/schema.ts')))
    const kit = join(packageFolder, 'node_modules/.bin/drizzle-kit')
    const flags = ['generate', '--dialect', 'postgresql', '--schema', file, '--out', join(folder, 'out')]
    const env = { ...process.env, NODE_OPTIONS: '--conditions=@outbox/source' }
    await promisify(execFile)(kit, flags, { cwd: folder, env })
    const out = join(folder, 'out')
    const names = (await readdir(out)).filter((name) => name.endsWith('.sql'))
    const texts = await Promise.all(names.map((name) => readFile(join(out, name), 'utf8')))
    return texts.join('\n').replaceAll('--> statement-breakpoint', '')
  } finally {
    await rm(folder, { recursive: true })
  }
}
