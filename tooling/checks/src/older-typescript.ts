import { join } from 'node:path'
import { CheckFailure, run } from './command.ts'
import { type Consumer, installConsumer } from './consumer.ts'
import type { Step } from './report.ts'
import type { Tarballs } from './tarballs.ts'
import { publicPackages } from './workspace.ts'

/**
 * A project as many applications still have it: TypeScript 5, `module: commonjs`, which knows no `exports` in a
 * package.json. Every entry point of ours is found there, with its types.
 */
export function olderTypeScriptStep(tarballs: Tarballs): Step {
  return { name: 'TypeScript 5, commonjs', check: () => checkOlderTypeScript(tarballs) }
}

async function checkOlderTypeScript(tarballs: Tarballs): Promise<string> {
  const packages = publicPackages()
  const entryPoints = packages.flatMap(({ name, entryPoints: paths }) => paths.map((path) => join(name, path)))
  const drivers = ['drizzle-orm@0.45', 'pg', 'mysql2', 'better-sqlite3', 'mongodb', 'ioredis', 'nats', 'vitest']
  const compiler = ['typescript@5.9', '@types/node@24']
  await using consumer = await installConsumer(
    'npm',
    [...packages.map(({ name }) => name), ...drivers, ...compiler],
    tarballs,
  )
  await consumer.write('package.json', JSON.stringify({ name: 'consumer', private: true }))
  await consumer.write('all.ts', entryPoints.map((path, nth) => `export * as entry${nth} from '${path}'`).join('\n'))
  await compile(consumer, 'all.ts')
  // found, and not as `any`
  await consumer.write('wrong.ts', entryPoints.map((path) => `export { absent } from '${path}'`).join('\n'))
  const messages = await compile(consumer, 'wrong.ts').then(() => '', String)
  for (const path of entryPoints) {
    const refusal = `Module '"${path}"' has no exported member 'absent'`
    if (!messages.includes(refusal)) throw new CheckFailure(`${path} has no types\n${messages}`)
  }
  return `${entryPoints.length} entry points`
}

/** @throws {CheckFailure} with the compiler's messages */
async function compile(consumer: Consumer, file: string): Promise<void> {
  const compiler = join(consumer.directory, 'node_modules/typescript/bin/tsc')
  const options = ['--strict', '--noEmit', '--skipLibCheck', '--target', 'es2022', '--module', 'commonjs']
  await run('node', [compiler, ...options, file], { cwd: consumer.directory })
}
