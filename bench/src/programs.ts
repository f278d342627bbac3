import { join } from 'node:path'
import { build, type Plugin } from 'esbuild'

type Program = 'contestant-process' | 'relay-process'

const programs: readonly Program[] = ['contestant-process', 'relay-process']
const output = join(import.meta.dirname, '../dist')
let compiling: Promise<unknown> | undefined

/** The program as a user would run it, in JavaScript: from its sources, the stripping of types would be measured too. */
export async function compiled(program: Program): Promise<string> {
  compiling ??= build({
    entryPoints: programs.map((name) => join(import.meta.dirname, `${name}.ts`)),
    outdir: output,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    conditions: ['@outbox/source'],
    plugins: [dependencies],
    logLevel: 'silent',
  })
  await compiling
  return join(output, `${program}.js`)
}

/** The program from its sources: a profile tells packages apart by where those stand. */
export function fromSource(program: Program): string {
  return join(import.meta.dirname, `${program}.ts`)
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
