import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '@outbox/services'
import { expect, test } from 'vitest'

const claimOf = (port: number): string => join(tmpdir(), 'outbox-test-ports', String(port))

test('a port is claimed before all processes, for as long as this one runs', async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, freePort))
  expect(new Set(ports).size).toBe(50)
  for (const port of ports) expect(readFileSync(claimOf(port), 'utf8')).toBe(String(process.pid))
})

test('a process that ends gives its ports up', () => {
  const program = `import('@outbox/services').then(async ({ freePort }) => console.log(await freePort()))`
  const given = execFileSync(process.execPath, ['--conditions=@outbox/source', '--eval', program], {
    cwd: join(import.meta.dirname, '..'),
    encoding: 'utf8',
  })
  expect(Number(given)).toBeGreaterThanOrEqual(20_000)
  expect(existsSync(claimOf(Number(given)))).toBe(false)
})
