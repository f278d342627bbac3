import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CheckFailure, root } from './command.ts'
import { documents } from './snippets.ts'

/** `<!-- code: examples/own-store/src/enqueue.ts#enqueue -->`; without the name, the whole file */
const codeMarker = /^<!--\s*code:\s*([^\s#]+)(?:#([a-z0-9-]+))?\s*-->\s*$/

/**
 * A Markdown text whose marked blocks hold what the files say now.
 *
 * A block is marked by a comment above it that names a file of the workspace, and a region in it: the lines between
 * `// #region NAME` and the next `// #endregion`.
 *
 * @throws {CheckFailure} when a file, a region or the block below a comment is not there
 */
export function withLoadedCode(document: string, text: string, read: (path: string) => string = readSource): string {
  const lines = text.split('\n')
  const loaded: string[] = []
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? ''
    loaded.push(line)
    const mark = codeMarker.exec(line)
    if (!mark) continue
    const fence = lines[at + 1] ?? ''
    const length = lines.slice(at + 2).indexOf('```')
    if (!/^```\w+$/.test(fence) || length < 0) {
      throw new CheckFailure(`${document}:${at + 1}: the code comment stands above no block`)
    }
    loaded.push(fence, ...codeOf(mark[1] ?? '', mark[2], read), '```')
    at += length + 2
  }
  return loaded.join('\n')
}

/** @throws {CheckFailure} with the documents that show other code than the files */
export function checkLoadedCode(): undefined {
  const stale = documentsWithCode().filter(({ text, loaded }) => text !== loaded)
  if (stale.length === 0) return undefined
  const names = stale.map(({ document }) => document).join(', ')
  throw new CheckFailure(`${names}: the code is not what its file says. Run 'pnpm format'.`)
}

/** Loads the code into every document anew. */
export function writeLoadedCode(): void {
  for (const { document, text, loaded } of documentsWithCode()) {
    if (text !== loaded) writeFileSync(join(root, document), loaded)
  }
}

function documentsWithCode() {
  return globSync(documents, { cwd: root }).map((document) => {
    const text = readFileSync(join(root, document), 'utf8')
    return { document, text, loaded: withLoadedCode(document, text) }
  })
}

function codeOf(path: string, region: string | undefined, read: (path: string) => string): readonly string[] {
  const lines = read(path).trimEnd().split('\n')
  if (region === undefined) return lines
  const start = lines.indexOf(`// #region ${region}`)
  const length = start < 0 ? -1 : lines.slice(start + 1).indexOf('// #endregion')
  if (length < 0) throw new CheckFailure(`${path} has no region '${region}' that begins and ends`)
  return lines.slice(start + 1, start + 1 + length)
}

function readSource(path: string): string {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch {
    throw new CheckFailure(`there is no file ${path}`)
  }
}
