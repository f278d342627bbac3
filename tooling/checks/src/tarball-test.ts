import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CheckFailure, root, run } from './command.ts'
import { asCommonJs, asJavaScript } from './commonjs.ts'
import { type Consumer, checkContents, checkTypes, installConsumer, type PackageManager } from './consumer.ts'
import { type ServerPool, startServerPool } from './fresh-servers.ts'
import { nodesToTry } from './nodes.ts'
import { olderTypeScriptStep } from './older-typescript.ts'
import { runSteps } from './report.ts'
import { allSnippets, sourceOf } from './snippets.ts'
import { programSteps } from './tarball-programs.ts'
import { packAll, type Tarballs } from './tarballs.ts'

/**
 * Does what the README says, in a folder outside the workspace, with the packed packages: installs what it names,
 * pastes the quickstart, compiles it, and runs it against real servers as an ES module and as CommonJS.
 */
const scenarios: readonly { readonly manager: PackageManager; readonly drizzle: string }[] = [
  { manager: 'npm', drizzle: '0.45' },
  { manager: 'pnpm', drizzle: '0.45' },
  { manager: 'npm', drizzle: '1.0.0-rc.5' },
]
/** what a user of PostgreSQL and Redis has no use for */
const unwanted = ['mongodb', 'nats', '@nats-io/jetstream', 'better-sqlite3', '@electric-sql/pglite', 'vitest']
/** what a TypeScript user has besides */
const forTypes = ['@types/node@24', '@types/pg@8']

const readme = readFileSync(join(root, 'README.md'), 'utf8')
const quickstart = quickstartOf()
const driver = await asJavaScript(readFileSync(join(root, 'tooling/checks/src/drivers/quickstart.ts'), 'utf8'))

await using tarballs = await packAll()
await using pool = startServerPool()
await runSteps([
  ...scenarios.map(({ manager, drizzle }) => ({
    name: `quickstart, ${manager}, drizzle ${drizzle}`,
    check: () => checkScenario(manager, drizzle, tarballs, pool),
  })),
  ...programSteps(tarballs, pool),
  olderTypeScriptStep(tarballs),
])

async function checkScenario(
  manager: PackageManager,
  drizzle: string,
  packed: Tarballs,
  servers: ServerPool,
): Promise<string> {
  const named = installedByReadme()
  const packages = named.map((name) => (name === 'drizzle-orm' ? `drizzle-orm@${drizzle}` : name))
  await using consumer = await installConsumer(manager, [...packages, ...forTypes], packed)
  checkContents(consumer, named, unwanted)
  await consumer.write('quickstart.ts', quickstart)
  await checkTypes(consumer)
  await checkRefusal(consumer)
  await consumer.write('quickstart.mjs', await asJavaScript(quickstart))
  await consumer.write('quickstart.cjs', await asCommonJs(quickstart))
  await consumer.write('driver.mjs', driver)
  const nodes = nodesToTry()
  for (const node of nodes) {
    await runQuickstart(consumer, node, 'quickstart.mjs', servers)
    await runQuickstart(consumer, node, 'quickstart.cjs', servers)
  }
  return `installed, compiled, run as ES module and as CommonJS on ${nodes.length} Node version(s)`
}

/** A handle that is no transaction does not compile either: the compiler has seen our types, not `any`. */
async function checkRefusal(consumer: Consumer): Promise<void> {
  await consumer.write('wrong.ts', quickstart.replace('enqueue(tx,', 'enqueue(db,'))
  const messages = await checkTypes(consumer).then(() => '', String)
  await consumer.remove('wrong.ts')
  if (!messages.includes('wrong.ts')) throw new CheckFailure('enqueue(db, …) should not compile, and does')
}

async function runQuickstart(consumer: Consumer, node: string, file: string, servers: ServerPool): Promise<void> {
  await using fresh = await servers.freshFor(quickstart)
  const args = ['driver.mjs', join(consumer.directory, file)]
  await run(node, args, { cwd: consumer.directory, env: fresh.env, timeoutMs: 240_000 })
}

/** the packages of the README's `npm install` */
function installedByReadme(): readonly string[] {
  const line = /^npm install (@outbox\/core .*)$/m.exec(readme)?.[1]
  if (line === undefined) throw new Error('README.md has no line that begins with npm install @outbox/core')
  return line.split(' ')
}

function quickstartOf(): string {
  const snippet = allSnippets().find(({ document, name }) => document === 'README.md' && name === 'quickstart')
  if (!snippet) throw new Error('README.md has no snippet named quickstart')
  return sourceOf(snippet)
}
