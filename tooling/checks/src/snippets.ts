import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CheckFailure, root } from './command.ts'

/** Some lines of a snippet, and where they stand. */
interface Piece {
  /** number of the first of the lines in the document, from 1 */
  readonly line: number
  readonly lines: readonly string[]
}

/** A TypeScript file made of one or several blocks of a document. */
export interface Snippet {
  /** path from the workspace's folder */
  readonly document: string
  readonly name: string
  /** whether it is not only compiled but run */
  readonly isRun: boolean
  readonly pieces: readonly Piece[]
}

/** where people read code */
export const documents: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'packages/*/README.md',
  'docs/**/*.md',
  'examples/*/README.md',
  'bench/README.md',
]

/** Every snippet of every document. */
export function allSnippets(): readonly Snippet[] {
  return globSync(documents, { cwd: root })
    .toSorted()
    .flatMap((document) => snippetsOf(document, readFileSync(join(root, document), 'utf8')))
}

const opening = /^```(?:ts|typescript)\s*$/
const otherFence = /^(?:```|~~~)/
/** the block below is loaded from a file, and compiled there */
const loadedMarker = /^<!--\s*code:/
const marker = /^<!--\s*snippet:\s*([a-z0-9-]+)(\s+run)?\s*(-->)?\s*$/

/**
 * The `ts` blocks of a Markdown text.
 *
 * A block is a file of its own. A comment above it gives it a name: `<!-- snippet: NAME -->`. Blocks of one name are
 * one file, in the order of the text. With `run` after the name the file is run, too. Lines in the comment, below the
 * name, belong to the file and are not shown: what a reader can do without. A block that is loaded from a file is left
 * out: it is compiled where it stands.
 */
export function snippetsOf(document: string, text: string): readonly Snippet[] {
  const lines = text.split('\n')
  const snippets = new Map<string, { isRun: boolean; pieces: Piece[] }>()
  let named: { name: string; isRun: boolean; hidden: Piece[] } | undefined
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? ''
    const mark = marker.exec(line)
    if (loadedMarker.test(line)) {
      at += linesUntil(lines, at + 2, (each) => each === '```').lines.length + 2
    } else if (mark) {
      named = { name: mark[1] ?? '', isRun: mark[2] !== undefined, hidden: [] }
      if (mark[3] === undefined) {
        const hidden = linesUntil(lines, at + 1, (each) => each.trim() === '-->')
        named.hidden.push(hidden)
        at += hidden.lines.length + 1
      }
    } else if (opening.test(line)) {
      const block = linesUntil(lines, at + 1, (each) => each === '```')
      const { name, isRun, hidden } = named ?? { name: `line-${at + 1}`, isRun: false, hidden: [] }
      const snippet = snippets.get(name) ?? { isRun: false, pieces: [] }
      snippet.isRun ||= isRun
      snippet.pieces.push(...hidden, block)
      snippets.set(name, snippet)
      at += block.lines.length + 1
      named = undefined
    } else if (otherFence.test(line) && !named) {
      at += linesUntil(lines, at + 1, (each) => each.startsWith(line.slice(0, 3))).lines.length + 1
    } else if (line.trim() !== '' && named) {
      throw new CheckFailure(`${document}:${at + 1}: the snippet comment '${named.name}' stands above no ts block`)
    }
  }
  return [...snippets].map(([name, snippet]) => ({ document, name, ...snippet }))
}

function linesUntil(lines: readonly string[], start: number, isEnd: (line: string) => boolean): Piece {
  const length = lines.slice(start).findIndex(isEnd)
  if (length === -1) throw new CheckFailure(`the block that begins in line ${start} has no end`)
  return { line: start + 1, lines: lines.slice(start, start + length) }
}

/** The snippet as a module. */
export function sourceOf(snippet: Snippet): string {
  return `${snippet.pieces.flatMap((piece) => piece.lines).join('\n')}\n`
}

/** Where a line of the module, counted from 1, stands in the document. */
export function documentLine(snippet: Snippet, line: number): number {
  let left = line - 1
  for (const piece of snippet.pieces) {
    if (left < piece.lines.length) return piece.line + left
    left -= piece.lines.length
  }
  return line
}
