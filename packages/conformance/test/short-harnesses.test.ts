import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

/** What is no adapter's harness: the suites' own tests, and the faulty stores that they must catch. */
const others = /^packages\/(conformance|memory)\/test\/(?!.*conformance\.test)|saboteurs|packages\/core/
const root = join(import.meta.dirname, '../../..')

const harnesses = globSync(['packages/*/test/**/*.ts', 'examples/*/test/**/*.ts'], { cwd: root })
  .filter((path) => !others.test(path))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
  .filter(({ text }) => text.includes("from '@outbox/conformance'"))

test('every store and publisher applies the suites in at most 40 lines', () => {
  expect(harnesses.length).toBeGreaterThan(20)
  for (const { path, text } of harnesses) expect(text.trimEnd().split('\n').length, path).toBeLessThanOrEqual(40)
})
