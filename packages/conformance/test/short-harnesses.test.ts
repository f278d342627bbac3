import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../../..')

/** Every file of ours that applies a suite, or that is a harness for several which do. */
const harnesses = [
  ...globSync(['packages/*/test/*conformance.test.ts', 'packages/*/test/*harness.ts'], { cwd: root }),
  ...globSync('examples/own-*/test/*.test.ts', { cwd: root }).filter((path) =>
    read(path).includes('@outbox/conformance'),
  ),
]

test('every store and publisher applies the suites in at most 40 lines', () => {
  expect(harnesses.length).toBeGreaterThan(20)
  for (const path of harnesses) {
    const lines = read(path).trimEnd().split('\n')
    expect(lines.length, path).toBeLessThanOrEqual(40)
  }
})

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}
