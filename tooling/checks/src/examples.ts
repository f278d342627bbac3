import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { CheckFailure, root } from './command.ts'
import { missingFor, type ServerPool, startServerPool } from './fresh-servers.ts'
import { runSteps } from './report.ts'

/** has a step of its own: it prints numbers that differ from run to run */
const elsewhere: readonly string[] = ['demo']

const wanted = process.argv.slice(2)
const names = readdirSync(join(root, 'examples')).filter(
  (name) => !elsewhere.includes(name) && (wanted.length === 0 || wanted.includes(name)),
)
await using pool = startServerPool()
await runSteps(names.map((name) => ({ name, check: () => checkExample(name, pool) })))

/** Runs the command of the example's README in its folder, and compares what it prints with expected.txt. */
async function checkExample(name: string, servers: ServerPool): Promise<string | undefined> {
  const directory = join(root, 'examples', name)
  const expectedFile = join(directory, 'expected.txt')
  if (!existsSync(expectedFile)) throw new CheckFailure(`examples/${name} has no expected.txt`)
  const readme = readFileSync(join(directory, 'README.md'), 'utf8')
  const command = commandOf(readme)
  if (command === undefined) throw new CheckFailure(`examples/${name}/README.md has no sh block with its command`)
  const missing = missingFor(readme)
  if (missing) return missing
  await using fresh = await servers.freshFor(readme)
  const result = await execa('bash', ['-euc', command], {
    cwd: directory,
    // npm and pnpm print no lines of their own
    env: { ...fresh.env, NO_COLOR: '1', npm_config_loglevel: 'silent' },
    preferLocal: true,
    localDir: root,
    reject: false,
    stdin: 'ignore',
    timeout: 120_000,
  })
  if (result.failed) throw new CheckFailure(`$ ${command}\n${result.stdout}\n${result.stderr}\n${result.shortMessage}`)
  const expected = readFileSync(expectedFile, 'utf8').trimEnd()
  const printed = result.stdout.trimEnd()
  if (printed !== expected) throw new CheckFailure(`expected:\n${expected}\nprinted:\n${printed}\n${result.stderr}`)
  return undefined
}

/** the first sh block of a README */
function commandOf(readme: string): string | undefined {
  return /^```sh\n([\s\S]*?)\n```/m.exec(readme)?.[1]
}
