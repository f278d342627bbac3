import { mkdir, rename, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type BuildOptions, build, type Plugin } from 'esbuild'

const output = join(import.meta.dirname, '../node_modules/.cache/compiled')
const known = new Map<string, Promise<string>>()

/**
 * A program of this repository as a user would run it, in JavaScript and with few files: it starts in a fifth of the
 * time that its sources take, which are found one by one and stripped of their types.
 *
 * @param source - the path of its TypeScript
 * @returns the path of what to start; several processes may compile the same program at the same time
 */
export function compiled(source: string): Promise<string> {
  const program = known.get(source) ?? compile(source)
  known.set(source, program)
  return program
}

async function compile(source: string): Promise<string> {
  const { outputFiles } = await build({
    ...compilation,
    entryPoints: [source],
    outdir: output,
    // named by what they hold: nobody overwrites what another has just started
    entryNames: '[name]-[hash]',
    write: false,
  })
  await mkdir(output, { recursive: true })
  for (const { path, contents } of outputFiles) await writeWhole(path, contents)
  const name = basename(source, '.ts')
  const program = outputFiles.find(({ path }) => dirname(path) === output && basename(path).startsWith(`${name}-`))
  if (!program) throw new Error(`no program came of ${source}`)
  return program.path
}

/** The whole file or nothing of it: another process may be about to run it. */
async function writeWhole(path: string, contents: Uint8Array): Promise<void> {
  const unfinished = `${path}.${process.pid}`
  await writeFile(unfinished, contents)
  await rename(unfinished, path)
}

/**
 * What is not this project's own stays where it is installed.
 *
 * But for drizzle-orm: Node leaves 130 MB of garbage behind when it finds its hundreds of modules one by one, more than
 * all else that a relay takes.
 */
const dependencies: Plugin = {
  name: 'dependencies',
  setup(building) {
    const asked = Symbol('asked')
    building.onResolve({ filter: /^[^./]/ }, async ({ path, pluginData, importer, kind, resolveDir, namespace }) => {
      if (pluginData === asked || isBundled(path)) return undefined
      const found = await building.resolve(path, { importer, kind, resolveDir, namespace, pluginData: asked })
      return found.errors.length > 0 ? { errors: found.errors } : { path: found.path, external: true }
    })
  },
}

function isBundled(path: string): boolean {
  return path.startsWith('@outbox/') || /^drizzle-orm(\/|$)/.test(path)
}

/** How programs of this repository are compiled, for esbuild. */
export const compilation: BuildOptions = {
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  conditions: ['@outbox/source'],
  plugins: [dependencies],
  logLevel: 'silent',
}
