import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root } from '../src/command.ts'
import { allSnippets, sourceOf } from '../src/snippets.ts'

const makesPool = /new (?:pg\.)?Pool\(/
/** while it is idle, and while a transaction has it: an `error` event that nobody listens to ends the process */
const listeners = [/\.on\('error', /, /\.on\('connect', \((\w+)\) => \1\.on\('error', /]

const files = globSync('examples/*/src/**/*.ts', { cwd: root }).map((name) => ({
  name,
  source: readFileSync(join(root, name), 'utf8'),
}))
const snippets = allSnippets().map((each) => ({ name: `${each.document} ${each.name}`, source: sourceOf(each) }))

it('whoever copies a node-postgres pool copies the listeners for connections that break', () => {
  const pools = [...files, ...snippets].filter(({ source }) => makesPool.test(source))
  expect(pools.length).toBeGreaterThan(10)
  const without = pools.filter(({ source }) => !listeners.every((listener) => listener.test(source)))
  expect(without.map(({ name }) => name)).toEqual([])
})
