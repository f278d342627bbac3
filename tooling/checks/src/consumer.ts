import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CheckFailure, run, runPnpm } from './command.ts'
import type { Tarballs } from './tarballs.ts'
import { isRecord, readJsonObject } from './workspace.ts'

export type PackageManager = 'npm' | 'pnpm'

/** A folder outside the workspace, as a user has one; disposing removes it. */
export interface Consumer extends AsyncDisposable {
  readonly directory: string
  write(file: string, content: string): Promise<void>
  remove(file: string): Promise<void>
}

/** Makes a folder and installs packages there: ours from their tarballs, the others from the registry. */
export async function installConsumer(
  manager: PackageManager,
  packages: readonly string[],
  tarballs: Tarballs,
): Promise<Consumer> {
  const directory = await mkdtemp(join(tmpdir(), `outbox-consumer-${manager}-`))
  const write = (file: string, content: string) => writeFile(join(directory, file), content)
  const remove = (file: string) => rm(join(directory, file))
  const fromTarballs = packages.map((name) => {
    const path = tarballs.paths.get(name)
    return path === undefined ? name : `${name}@file:${path}`
  })
  await write('package.json', JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
  if (manager === 'npm') {
    await run('npm', ['install', '--no-audit', '--no-fund', ...fromTarballs], { cwd: directory })
  } else {
    // the registry knows nothing of ours: what they ask of each other comes from the tarballs, too
    const overrides = [...tarballs.paths].map(([name, path]) => `  '${name}': 'file:${path}'\n`)
    await write('pnpm-workspace.yaml', `minimumReleaseAge: 0\noverrides:\n${overrides.join('')}`)
    await runPnpm(['add', ...fromTarballs], { cwd: directory })
  }
  const dispose = () => rm(directory, { recursive: true, force: true })
  return { directory, write, remove, [Symbol.asyncDispose]: dispose }
}

/** Whether a package was installed, at whatever depth. */
function isInstalled(consumer: Consumer, name: string): boolean {
  const modules = join(consumer.directory, 'node_modules')
  const lock = join(modules, '.package-lock.json')
  if (existsSync(lock)) {
    const installed = readJsonObject(lock)['packages']
    return isRecord(installed) && Object.keys(installed).some((path) => path.endsWith(`node_modules/${name}`))
  }
  return readdirSync(join(modules, '.pnpm')).some((folder) => folder.startsWith(`${name.replace('/', '+')}@`))
}

/**
 * Looks at what was installed: drivers that nobody asked for, and traces of the workspace.
 *
 * @param expected - what must be there, ours among it
 * @throws {CheckFailure} with each of them
 */
export function checkContents(consumer: Consumer, expected: readonly string[], unwanted: readonly string[]): void {
  const faults = [
    ...expected.filter((name) => !isInstalled(consumer, name)).map((name) => `${name} is not installed`),
    ...unwanted.filter((name) => isInstalled(consumer, name)).map((name) => `${name} was installed, unasked`),
  ]
  for (const name of expected.filter((each) => each.startsWith('@outbox/'))) {
    const directory = join(consumer.directory, 'node_modules', name)
    if (existsSync(join(directory, 'dist/.tsbuildinfo')))
      faults.push(`${name} holds the compiler's notes about its build`)
    const manifest = readFileSync(join(directory, 'package.json'), 'utf8')
    for (const trace of ['@outbox/source', 'workspace:', 'catalog:']) {
      if (manifest.includes(trace)) faults.push(`the package.json of ${name} holds ${trace}`)
    }
  }
  if (faults.length > 0) throw new CheckFailure(faults.join('\n'))
}

/**
 * Type-checks the folder's `.ts` files, and our declaration files with them.
 *
 * @throws {CheckFailure} with the compiler's messages about the user's files and ours
 */
export async function checkTypes(consumer: Consumer): Promise<void> {
  const compilerOptions = {
    target: 'es2023',
    lib: ['es2023', 'esnext.disposable'],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    types: ['node'],
    noEmit: true,
    // the drivers' own declarations are nobody's business here: see the filter below
    skipLibCheck: false,
  }
  await consumer.write('tsconfig.json', JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  try {
    await run('tsc', ['-p', join(consumer.directory, 'tsconfig.json'), '--pretty', 'false'], {
      cwd: consumer.directory,
    })
  } catch (error) {
    if (!(error instanceof CheckFailure)) throw error
    const messages = error.message.split('\n').filter((line) => /error TS/.test(line))
    const ours = messages.filter((line) => !line.includes('node_modules/') || line.includes('@outbox'))
    if (ours.length > 0 || messages.length === 0) throw new CheckFailure(ours.join('\n') || error.message)
  }
}
