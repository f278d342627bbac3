import { readFileSync } from 'node:fs'
import { CheckFailure, run } from './command.ts'
import { asJavaScript } from './commonjs.ts'
import { type Consumer, checkContents, checkTypes, installConsumer } from './consumer.ts'
import { missingFor, type ServerPool } from './fresh-servers.ts'
import { nodesToTry } from './nodes.ts'
import type { Step } from './report.ts'
import type { Tarballs } from './tarballs.ts'

/** A program that a user of some of the packages could write. */
interface TarballProgram {
  /** of its file in `programs/` */
  readonly name: string
  /** what its author installs */
  readonly packages: readonly string[]
  /** a change with which it must not compile: the handle is no transaction then */
  readonly mistake?: readonly [right: string, wrong: string]
  /** major version of Node that the driver asks for */
  readonly oldestNode?: number
}

const drizzleVersions = ['0.45', '1.0.0-rc.5'] as const
const common = ['@outbox/core', '@outbox/relay']

const drizzlePrograms: readonly TarballProgram[] = [
  {
    name: 'mysql',
    packages: [...common, '@outbox/drizzle', 'drizzle-orm', 'mysql2'],
    mistake: ['enqueue(tx,', 'enqueue(db,'],
  },
  {
    name: 'sqlite',
    packages: [...common, '@outbox/drizzle', 'drizzle-orm', 'better-sqlite3', '@types/better-sqlite3'],
    mistake: ['enqueue(tx,', 'enqueue(db,'],
    oldestNode: 22,
  },
  {
    name: 'libsql',
    packages: [...common, '@outbox/drizzle', 'drizzle-orm', '@libsql/client'],
    mistake: ['enqueue(tx,', 'enqueue(db,'],
  },
]

const programs: readonly TarballProgram[] = [
  { name: 'core', packages: ['@outbox/core'] },
  {
    name: 'mongo',
    packages: [...common, '@outbox/mongo', 'mongodb'],
    mistake: ['enqueue(session,', 'enqueue(client,'],
  },
  ...drizzleVersions.flatMap((version) =>
    drizzlePrograms.map((program) => ({ ...program, packages: program.packages.map(withVersion(version)) })),
  ),
]

/** Everything that nobody gets who has not asked for it. */
const drivers: readonly string[] = [
  ...['pg', 'postgres', '@electric-sql/pglite', 'mysql2', 'better-sqlite3', '@libsql/client', 'mongodb'],
  ...['ioredis', 'nats', '@nats-io/jetstream', 'drizzle-orm', 'vitest'],
]

/** Each program, in a folder outside the workspace, with what it asks for and nothing else: compiled, and run. */
export function programSteps(tarballs: Tarballs, servers: ServerPool): readonly Step[] {
  return programs.map((program) => ({
    name: [program.name, ...program.packages.filter((each) => each.startsWith('drizzle-orm@'))].join(', '),
    check: () => checkProgram(program, tarballs, servers),
  }))
}

async function checkProgram(program: TarballProgram, tarballs: Tarballs, servers: ServerPool): Promise<string> {
  const source = readFileSync(new URL(`programs/${program.name}.ts`, import.meta.url), 'utf8')
  await using consumer = await installConsumer('npm', [...program.packages, '@types/node@24'], tarballs)
  const installed = program.packages.map((each) => each.replace(/(?<=.)@.*/, ''))
  checkContents(
    consumer,
    installed,
    drivers.filter((driver) => !installed.includes(driver)),
  )
  await consumer.write('program.ts', source)
  await checkTypes(consumer)
  if (program.mistake) await checkRefusal(consumer, source, program.mistake)
  await consumer.write('program.mjs', await asJavaScript(source))
  const missing = missingFor(source)
  if (missing) return `installed and compiled. ${missing}`
  const nodes = nodesToTry(program.oldestNode)
  for (const node of nodes) {
    await using fresh = await servers.freshFor(source)
    await run(node, ['program.mjs'], { cwd: consumer.directory, env: fresh.env, timeoutMs: 240_000 })
  }
  return `installed, compiled, run on ${nodes.length} Node version(s)`
}

/** The compiler has seen our types, not `any`. */
async function checkRefusal(consumer: Consumer, source: string, [right, wrong]: readonly [string, string]) {
  if (!source.includes(right)) throw new Error(`the program does not say ${right}`)
  await consumer.write('wrong.ts', source.replace(right, wrong))
  const messages = await checkTypes(consumer).then(() => '', String)
  await consumer.remove('wrong.ts')
  if (!messages.includes('wrong.ts')) throw new CheckFailure(`${wrong} …) should not compile, and does`)
}

function withVersion(version: string): (name: string) => string {
  return (name) => (name === 'drizzle-orm' ? `drizzle-orm@${version}` : name)
}
