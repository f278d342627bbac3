import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'
import type { Rule } from '../rules/names.ts'
import type { Parts } from '../run.ts'

/** One mistake in the code: a place that exists once, and what stands there instead. */
export interface Mutant {
  /** says what is wrong, in words */
  readonly name: string
  /** below `packages` */
  readonly file: string
  readonly code: string
  readonly instead: string
  /** what it breaks: in the first world where it shows, the first thing that breaks is one of these */
  readonly by: readonly Rule[]
  /** the checker finds it within this many seeds */
  readonly within: number
  /** counted from this one, default 1: a rare one is looked for near where it was seen, to spend less time on it */
  readonly from?: number
}

const packages = join(dirname(fileURLToPath(import.meta.url)), '../../../../packages')

/**
 * Builds relay and store with the mistake in them.
 *
 * @throws {Error} if the place is not there exactly once: the code has changed, and the mutant must follow
 */
export async function partsWith(mutant: Mutant): Promise<Parts> {
  const result = await build({
    stdin: {
      contents: `export { createRelay } from '@outbox/relay'; export { memoryOutbox as outbox } from '@outbox/memory'`,
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    conditions: ['@outbox/source'],
    plugins: [mistakeOf(mutant)],
    logLevel: 'silent',
  })
  const [bundle] = result.outputFiles
  if (!bundle) throw new Error('esbuild wrote nothing')
  const module: unknown = await import(`data:text/javascript;base64,${Buffer.from(bundle.contents).toString('base64')}`)
  // as: the bundle was made two lines above, and exports just this
  return module as Parts
}

function mistakeOf({ name, file, code, instead }: Mutant): Plugin {
  return {
    name: 'mistake',
    setup(building) {
      let isMade = false
      building.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        const contents = await readFile(path, 'utf8')
        if (path !== join(packages, file)) return { contents, loader: 'ts' }
        const count = contents.split(code).length - 1
        if (count !== 1) throw new Error(`mutant '${name}': its place stands ${count} times in ${file}`)
        isMade = true
        return { contents: contents.replace(code, () => instead), loader: 'ts' }
      })
      building.onEnd(() => {
        if (!isMade) throw new Error(`mutant '${name}': ${file} is not part of the program`)
      })
    },
  }
}
