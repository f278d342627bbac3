import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const here = fileURLToPath(new URL('.', import.meta.url))
const compiler = join(here, '../../../node_modules/.bin/tsc')

test('the handles that fit compile, under drizzle 0.45 and 1.0, and no others', async () => {
  expect(await compile(join(here, 'pg-types.ts'))).toBe('')
})

test('the compiler says of a database in the place of a transaction what it lacks', async () => {
  const output = await compileText(`
import { event } from '@outbox/core'
import type { PgOutbox } from '@outbox/drizzle/pg'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
export const mistake = (outbox: PgOutbox, db: NodePgDatabase) =>
  outbox.enqueue(db, event('order.placed', { aggregateId: '1', payload: {} }))
`)
  expect(output).toMatch(
    /Property 'rollback' is missing in type 'NodePgDatabase.*' but required in type 'PgTransaction'/,
  )
})

test('and says the same of an inbox', async () => {
  const output = await compileText(`
import type { PgInbox } from '@outbox/drizzle/pg'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
export const mistake = (inbox: PgInbox, db: NodePgDatabase) => inbox.once(db, 'billing', 'm-1', () => undefined)
`)
  expect(output).toMatch(
    /Property 'rollback' is missing in type 'NodePgDatabase.*' but required in type 'PgTransaction'/,
  )
})

/** @returns what the compiler has to say */
async function compile(file: string): Promise<string> {
  const folder = await scratch()
  const config = join(folder, 'tsconfig.json')
  // es2024: of our own packages' sources, which the workspace compiles with that
  const compilerOptions = { noEmit: true, types: ['node'], lib: ['es2024', 'esnext.disposable'] }
  await writeFile(
    config,
    JSON.stringify({ extends: join(here, '../../../tsconfig.base.json'), compilerOptions, files: [file] }),
  )
  try {
    await promisify(execFile)(compiler, ['-p', config])
    return ''
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'stdout' in error && typeof error.stdout === 'string') {
      return error.stdout
    }
    throw error
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function compileText(text: string): Promise<string> {
  const folder = await scratch()
  const file = join(folder, 'mistake.ts')
  await writeFile(file, text)
  try {
    return await compile(file)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Inside the package, so that its dependencies are found; inside node_modules, so that nothing else looks at it. */
async function scratch(): Promise<string> {
  const parent = join(here, '../node_modules/.types')
  await mkdir(parent, { recursive: true })
  return mkdtemp(join(parent, 'pg-'))
}
