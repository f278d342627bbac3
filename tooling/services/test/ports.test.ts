import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '@outbox/services'
import { expect, test } from 'vitest'

const claimsIn = (directory: string): string => join(directory, `outbox-test-ports-${process.getuid?.() ?? 'all'}`)
const claimOf = (port: number): string => join(claimsIn(tmpdir()), String(port))

/** A port that another process has asked for, with a folder for temporary files of its own. */
function portOfAnother(environment: Readonly<Record<string, string>> = {}): string {
  const program = `import('@outbox/services').then(async ({ freePort }) => console.log(await freePort()))`
  return execFileSync(process.execPath, ['--conditions=@outbox/source', '--eval', program], {
    cwd: join(import.meta.dirname, '..'),
    encoding: 'utf8',
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
  })
}

test('a port is claimed before all processes, for as long as this one runs', async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, freePort))
  expect(new Set(ports).size).toBe(50)
  for (const port of ports) expect(readFileSync(claimOf(port), 'utf8')).toBe(String(process.pid))
})

test('a process that ends gives its ports up', () => {
  const given = portOfAnother()
  expect(Number(given)).toBeGreaterThanOrEqual(20_000)
  expect(existsSync(claimOf(Number(given)))).toBe(false)
})

test('where no claim can be written, that is said, and nothing is tried for ever', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'outbox-ports-'))
  try {
    // a file in the place of the folder refuses root as well
    await writeFile(claimsIn(directory), '')
    expect(() => portOfAnother({ TMPDIR: directory })).toThrow(/EEXIST|ENOTDIR/)
  } finally {
    await rm(directory, { recursive: true })
  }
})
