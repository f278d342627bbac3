import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The Node that runs the workspace's TypeScript: this process's own if it is new enough, else the workspace's. */
export function nodeProgram(): string {
  const major = Number(process.versions.node.split('.')[0])
  if (major >= 24) return process.execPath
  const installed = join(dirname(createRequire(import.meta.url).resolve('node/package.json')), 'bin', 'node')
  if (!existsSync(installed)) throw new Error(`Node 24 is not installed at ${installed}: run pnpm install first.`)
  return installed
}

/** For children: what Node has compiled once, it need not compile again. Half of the time in which one starts goes there. */
export const compileCache: Readonly<Record<'NODE_COMPILE_CACHE', string>> = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL('../../../node_modules/.cache/node-compile', import.meta.url)),
}
