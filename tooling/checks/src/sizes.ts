import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { CheckFailure, root } from './command.ts'

interface Bundle {
  readonly what: string
  readonly limitBytes: number
  /** a module that is bundled with all that it imports */
  readonly source: string
  /** what is left out of the bundle */
  readonly external: readonly string[]
}

const bundles: readonly Bundle[] = [
  { what: '@outbox/core', limitBytes: 5_000, source: `export * from '@outbox/core'`, external: [] },
  // what it measures now, so that it does not grow unseen; the goal is 8,000: docs/decisions/0007
  { what: '@outbox/relay', limitBytes: 11_000, source: `export * from '@outbox/relay'`, external: ['@outbox/core'] },
  {
    what: '@outbox/core + @outbox/relay',
    limitBytes: 15_200,
    source: `export * from '@outbox/core'; export * from '@outbox/relay'`,
    external: [],
  },
]

/**
 * Measures what users ship, minified and compressed.
 *
 * @returns a table
 * @throws {CheckFailure} with the table, when something is too large
 */
export async function checkSizes(): Promise<string> {
  const rows = await Promise.all(bundles.map(async (bundle) => ({ ...bundle, bytes: await bundledBytes(bundle) })))
  const table = rows
    .map(({ what, bytes, limitBytes }) => {
      const verdict = bytes < limitBytes ? '' : '  TOO LARGE'
      return `${what.padEnd(30)} ${String(bytes).padStart(6)} of ${String(limitBytes).padStart(6)} bytes${verdict}`
    })
    .join('\n')
  if (rows.some(({ bytes, limitBytes }) => bytes >= limitBytes)) throw new CheckFailure(table)
  return table
}

async function bundledBytes({ source, external }: Bundle): Promise<number> {
  const result = await build({
    stdin: { contents: source, resolveDir: join(root, 'tooling/checks/src') },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'es2023',
    conditions: ['@outbox/source'],
    external: [...external],
    logLevel: 'silent',
  })
  const [output] = result.outputFiles
  if (!output) throw new Error(`esbuild wrote nothing for ${source}`)
  return gzipSync(output.contents, { level: 9 }).byteLength
}
