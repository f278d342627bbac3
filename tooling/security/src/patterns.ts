import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSync, Visitor } from 'oxc-parser'

/** A regular expression of the packages, and where it stands. */
export interface Pattern {
  readonly file: string
  readonly source: string
  readonly flags: string
}

export interface PatternsFound {
  readonly literals: readonly Pattern[]
  /** `file: new RegExp(…)`, as it is written: what such a pattern is, only the running program knows */
  readonly made: readonly string[]
}

/** Every regular expression in the sources of the packages under `root`. */
export function patternsUnder(root: string): PatternsFound {
  const literals: Pattern[] = []
  const made: string[] = []
  for (const file of globSync('packages/*/src/**/*.ts', { cwd: root }).toSorted()) {
    const text = readFileSync(join(root, file), 'utf8')
    const { program, errors } = parseSync(file, text)
    if (errors.length > 0) throw new Error(`${file} cannot be parsed: ${errors[0]?.message}`)
    const noteConstruction = (node: {
      readonly start: number
      readonly end: number
      readonly callee: object
    }): void => {
      if ('name' in node.callee && node.callee.name === 'RegExp')
        made.push(`${file}: ${text.slice(node.start, node.end)}`)
    }
    new Visitor({
      Literal: (node) => {
        if ('regex' in node) literals.push({ file, source: node.regex.pattern, flags: node.regex.flags })
      },
      NewExpression: noteConstruction,
      CallExpression: noteConstruction,
    }).visit(program)
  }
  return { literals, made }
}
