import { transform } from 'esbuild'

/**
 * An ES module with top-level await, as a CommonJS module that exports a promise of what it exported.
 *
 * For the quickstart: imports of named bindings, and functions exported where they are declared.
 */
export async function asCommonJs(source: string): Promise<string> {
  const { code } = await transform(source, { loader: 'ts', format: 'esm' })
  const requires: string[] = []
  const exported: string[] = []
  const body = code
    .replaceAll(/^import \{([^}]*)\} from ("[^"]*");$/gm, (_, names: string, from: string) => {
      requires.push(`const {${names.replaceAll(' as ', ': ')}} = require(${from})`)
      return ''
    })
    .replaceAll(/^export \{([^}]*)\};$/gm, (_, names: string) => {
      exported.push(names)
      return ''
    })
  if (/^(import|export) /m.test(body)) throw new Error(`an import or export that is not understood:\n${body}`)
  return `${requires.join('\n')}\nmodule.exports = (async () => {\n${body}\nreturn {${exported.join(', ')}}\n})()\n`
}

/** The module without its types. */
export async function asJavaScript(source: string): Promise<string> {
  const { code } = await transform(source, { loader: 'ts', format: 'esm' })
  return code
}
