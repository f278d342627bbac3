import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { expect, it } from 'vitest'
import { nodeProgram } from '../src/index.ts'

const config = fileURLToPath(new URL('fixtures/vitest.config.ts', import.meta.url))
const vitest = fileURLToPath(import.meta.resolve('vitest/package.json')).replace('package.json', 'vitest.mjs')

/** runs fixture test files as a bare machine would, with no server to be found */
async function runBare(files: readonly string[], env: Readonly<Record<string, string>>) {
  const none = { OUTBOX_SERVERS: '', OUTBOX_SERVERS_ONLY: '1', DATABASE_URL: '', REDIS_URL: '', NATS_URL: '' }
  const result = await execa(nodeProgram(), [vitest, 'run', '--config', config, ...files], {
    env: { ...none, CI: '', NO_COLOR: '1', ...env },
    reject: false,
  })
  return { code: result.exitCode, lines: result.stdout.trimEnd().split('\n'), output: result.stdout + result.stderr }
}

it('says at the end what was left out for want of servers, and how to get them', async () => {
  const { code, lines } = await runBare(['servers'], {})
  expect(lines.slice(-7)).toEqual([
    'LEFT OUT, because real servers are missing here:',
    '  PostgreSQL: 2 tests in 1 file not run',
    expect.stringContaining('apt-get install postgresql'),
    '  Redis: 3 tests in 1 file not run',
    expect.stringContaining('REDIS_URL=redis://'),
    '',
    '1 passed, 0 failed, 3 skipped',
  ])
  expect(code).toBe(0)
})

it('fails with CI=true where servers are missing', async () => {
  const { code, lines, output } = await runBare(['servers'], { CI: 'true' })
  expect(lines.at(-1)).toBe('1 passed, 3 failed')
  expect(output).toContain('PostgreSQL is missing: apt-get install postgresql')
  expect(code).toBe(1)
})

it('takes a server that the environment names for present', async () => {
  const named = { DATABASE_URL: 'postgres://127.0.0.1:1/none', REDIS_URL: 'redis://127.0.0.1:1' }
  const { lines } = await runBare(['servers'], named)
  // the suite that wants a Redis of its own still has no program to start
  expect(lines.slice(-4)).toEqual([
    '  Redis: 1 test in 1 file not run',
    expect.stringContaining('apt-get install redis-server'),
    '',
    '3 passed, 0 failed, 1 skipped',
  ])
})

it('counts failing hooks, unhandled errors and files that do not load as failures', async () => {
  const { code, lines } = await runBare(['broken', 'unloadable'], {})
  // failed: the test, the suite whose hook failed, the unhandled rejection, the file that does not load
  expect(lines.at(-1)).toMatch(/^1 passed, 4 failed, \d skipped$/)
  expect(lines.filter((line) => line.startsWith('FAILED '))).toEqual([
    'FAILED outside of a test: unhandled',
    'FAILED broken.fixture.ts > fails: test · caused by: its cause',
    'FAILED broken.fixture.ts > a hook that fails: hook',
    'FAILED unloadable.fixture.ts: this file does not load',
  ])
  expect(code).toBe(1)
})
