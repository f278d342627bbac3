import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { OutboxError } from '@outbox/core'
import type { Pool } from 'mysql2/promise'
import { rowsOf } from './mysql-databases.ts'

export async function setupRequired(attempt: Promise<unknown>): Promise<OutboxError<'setup-required'>> {
  const error: unknown = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (OutboxError.is(error, 'setup-required')) return error
  throw new Error('Expected an OutboxError setup-required', { cause: error })
}

/** Everything that the server says of the tables of its database, by table; the lines sorted. */
export async function shapeOf(pool: Pool): Promise<Readonly<Record<string, readonly string[]>>> {
  const shape: Record<string, readonly string[]> = {}
  for (const row of await rowsOf(pool, 'show tables')) {
    const name = String(Object.values(row)[0])
    const [made] = await rowsOf(pool, `show create table \`${name}\``)
    const lines = String(made?.['Create Table']).split('\n')
    // said by one and left to the server's default by the other; how far the counter has come
    shape[name] = lines.map((line) => line.replace(/,$| ROW_FORMAT=DYNAMIC| AUTO_INCREMENT=\d+/g, '')).toSorted()
  }
  return shape
}

/** Runs drizzle-kit on a schema file as a user would. @returns the statements of the migration that it wrote */
export async function migrationOf(schema: string): Promise<readonly string[]> {
  const packageFolder = fileURLToPath(new URL('..', import.meta.url))
  // inside the package, so that `@outbox/drizzle` and drizzle-orm are found
  const folder = await mkdtemp(join(packageFolder, 'node_modules', '.kit-'))
  try {
    const file = join(folder, 'schema.ts')
    await writeFile(file, schema.replaceAll('@outbox/drizzle/mysql/schema', join(packageFolder, 'src/mysql/schema.ts')))
    const kit = join(packageFolder, 'node_modules/.bin/drizzle-kit')
    const flags = ['generate', '--dialect', 'mysql', '--schema', file, '--out', join(folder, 'out')]
    const env = { ...process.env, NODE_OPTIONS: '--conditions=@outbox/source' }
    await promisify(execFile)(kit, flags, { cwd: folder, env })
    const out = join(folder, 'out')
    const names = (await readdir(out)).filter((name) => name.endsWith('.sql'))
    const texts = await Promise.all(names.map((name) => readFile(join(out, name), 'utf8')))
    return statementsOf(texts.join('--> statement-breakpoint'), '--> statement-breakpoint')
  } finally {
    await rm(folder, { recursive: true })
  }
}

export function statementsOf(text: string, separator = ';\n'): readonly string[] {
  return text
    .split(separator)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}
