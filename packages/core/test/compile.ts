import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const workspace = fileURLToPath(new URL('../../../', import.meta.url))
const core = path.join(workspace, 'packages/core/src')
const tsc = path.join(path.dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')

const configuration = {
  extends: path.join(workspace, 'tsconfig.base.json'),
  compilerOptions: {
    noEmit: true,
    noUnusedLocals: false,
    lib: ['es2024', 'esnext.disposable'],
    types: ['node'],
    typeRoots: [path.join(workspace, 'node_modules/@types')],
    paths: {
      '@outbox/core': [path.join(core, 'index.ts')],
      '@outbox/core/adapter': [path.join(core, 'adapter/index.ts')],
      '@outbox/core/wire': [path.join(core, 'wire/index.ts')],
    },
  },
}

/**
 * Compiles each program as a module of its own, as a user's compiler would, with this workspace's strict settings.
 *
 * @returns what the compiler says of each program, by its name; '' for one that compiles
 */
export async function compile(programs: ReadonlyMap<string, string>): Promise<ReadonlyMap<string, string>> {
  const folder = await mkdtemp(path.join(tmpdir(), 'outbox-types-'))
  const names = [...programs.keys()]
  try {
    await writeFile(path.join(folder, 'package.json'), '{"type":"module"}')
    const files = names.map((_, index) => `program${index}.ts`)
    await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify({ ...configuration, files }))
    await Promise.all(
      names.map((name, index) => writeFile(path.join(folder, `program${index}.ts`), programs.get(name) ?? '')),
    )
    const output = await run(folder)
    return new Map(names.map((name, index) => [name, about(`program${index}.ts`, output)]))
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Resolves to what the compiler prints; rejects when it could not do its work. */
function run(folder: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], { cwd: folder }, (error, stdout, stderr) => {
      const strays = stdout.split('\n').filter((line) => /error TS/.test(line) && !/^program\d+\.ts\(/.test(line))
      const isAnswer = strays.length === 0 && stderr === '' && (error === null || stdout !== '')
      if (isAnswer) resolve(stdout)
      else reject(new Error(`tsc could not do its work: ${strays.join('\n')}${stderr}`, { cause: error }))
    })
  })
}

/** The messages about one file, each with the indented lines that belong to it. */
function about(file: string, output: string): string {
  const lines: string[] = []
  let isAbout = false
  for (const line of output.split('\n')) {
    if (!line.startsWith(' ')) isAbout = line.startsWith(`${file}(`)
    if (isAbout) lines.push(line)
  }
  return lines.join('\n')
}
