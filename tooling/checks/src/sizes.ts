import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build, type Metafile } from 'esbuild'
import { CheckFailure, root } from './command.ts'

interface Bundle {
  readonly what: string
  readonly limitBytes: number
  /** a module that is bundled with all that it imports */
  readonly source: string
  /** what is left out of the bundle */
  readonly external: readonly string[]
}

const core = ['@outbox/core', '@outbox/core/adapter']

/** The limits are what was reached, so that nothing grows unseen: docs/decisions/0007. */
const bundles: readonly Bundle[] = [
  { what: '@outbox/core', limitBytes: 5_000, source: `export * from '@outbox/core'`, external: [] },
  { what: '@outbox/relay', limitBytes: 10_950, source: `export * from '@outbox/relay'`, external: core },
  { what: '@outbox/relay/fan-out', limitBytes: 1_400, source: `export * from '@outbox/relay/fan-out'`, external: core },
  { what: '@outbox/relay/health', limitBytes: 2_250, source: `export * from '@outbox/relay/health'`, external: core },
  { what: '@outbox/relay/route', limitBytes: 1_250, source: `export * from '@outbox/relay/route'`, external: core },
  {
    what: 'createRelay, with core as it needs it',
    limitBytes: 11_700,
    source: `export { createRelay } from '@outbox/relay'`,
    external: [],
  },
  {
    what: '@outbox/core + @outbox/relay',
    limitBytes: 15_600,
    source: `export * from '@outbox/core'; export * from '@outbox/relay'`,
    external: [],
  },
]

/**
 * Measures what users ship, minified and compressed; what is loaded only when it is needed is a figure of its own.
 *
 * @returns a table
 * @throws {CheckFailure} with the table, when something is too large
 */
export async function checkSizes(): Promise<string> {
  const rows = await Promise.all(bundles.map(async (bundle) => ({ ...bundle, ...(await measure(bundle)) })))
  const table = rows
    .map(({ what, bytes, lazyBytes, limitBytes }) => {
      const lazy = lazyBytes > 0 ? `, ${lazyBytes} more when needed` : ''
      const verdict = bytes < limitBytes ? '' : '  TOO LARGE'
      return `${what.padEnd(38)} ${String(bytes).padStart(6)} of ${String(limitBytes).padStart(6)} bytes${lazy}${verdict}`
    })
    .join('\n')
  if (rows.some(({ bytes, limitBytes }) => bytes >= limitBytes)) throw new CheckFailure(table)
  return table
}

async function measure({ source, external }: Bundle): Promise<{ readonly bytes: number; readonly lazyBytes: number }> {
  const outdir = join(root, 'not-written')
  const { outputFiles, metafile } = await build({
    stdin: { contents: source, resolveDir: join(root, 'tooling/checks/src') },
    absWorkingDir: root,
    outdir,
    splitting: true,
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    target: 'es2023',
    conditions: ['@outbox/source'],
    external: [...external],
    logLevel: 'silent',
  })
  const atOnce = loadedAtOnce(metafile)
  const sizeOf = (files: readonly { readonly contents: Uint8Array }[]): number =>
    files.length === 0 ? 0 : gzipSync(Buffer.concat(files.map(({ contents }) => contents)), { level: 9 }).byteLength
  return {
    bytes: sizeOf(outputFiles.filter(({ path }) => atOnce.has(path))),
    lazyBytes: sizeOf(outputFiles.filter(({ path }) => !atOnce.has(path))),
  }
}

/** Files that are loaded with the entry: all but what only an `import()` leads to. */
function loadedAtOnce({ outputs }: Metafile): ReadonlySet<string> {
  const paths = Object.keys(outputs).filter((path) => outputs[path]?.entryPoint === '<stdin>')
  const files = new Set(paths)
  for (const path of files) {
    for (const { path: imported, kind, external } of outputs[path]?.imports ?? []) {
      if (kind === 'import-statement' && !external) files.add(imported)
    }
  }
  return new Set([...files].map((path) => join(root, path)))
}
