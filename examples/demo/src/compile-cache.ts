import { enableCompileCache, flushCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

const directory = fileURLToPath(new URL('../../../node_modules/.cache/node-compile', import.meta.url))

/** From here on, what is compiled is kept for other processes. */
export function keepCompiled(): void {
  enableCompileCache(directory)
}

/** For children: what this process has compiled so far, they need not, so that a killed relay is soon replaced. */
export function compiledSoFar(): { readonly NODE_COMPILE_CACHE: string } {
  flushCompileCache()
  return { NODE_COMPILE_CACHE: directory }
}
