import { fileURLToPath } from 'node:url'
import { describeWith, nodeProgram, sharedNats, sharedPostgres, sharedRedis } from '@outbox/services'
import { execa } from 'execa'
import { describe, expect, test } from 'vitest'

const demo = fileURLToPath(new URL('../../../examples/demo/src/main.ts', import.meta.url))

/** Runs the demo as a user would, with more of everything; its audit reads the broker back. */
async function runDemo(flags: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { stdout, stderr, exitCode } = await execa(nodeProgram(), ['--conditions=@outbox/source', demo, ...flags], {
    env,
    reject: false,
  })
  const verdict = stdout.slice(stdout.lastIndexOf('\ncommitted') + 1).trim()
  expect(exitCode, `${verdict}\n${stdout}\n${stderr}`).toBe(0)
  const [, kills, wanted, strikes] = /^kills (\d+) of (\d+) · with entries in hand (\d+)/m.exec(stdout) ?? []
  expect([kills, wanted], stdout).toEqual([wanted, kills])
  // it may have settled what it had before the signal reached it
  expect(Number(strikes), stdout).toBeGreaterThan(0)
  return verdict
}

const fleet = ['--events', '20000', '--aggregates', '500', '--producers', '8', '--relays', '3', '--kills', '10']
const clean =
  /^committed 20000 · delivered 20000 · lost 0 · out of order 0 · leaked from rollbacks 0 · repeats \d+ \(each explained\)$/

describe('8 producers and 3 relays, relays killed at random', () => {
  test('SQLite to a file: nothing lost, in order, every repeat explained', { timeout: 600_000 }, async () => {
    expect(await runDemo(fleet)).toMatch(clean)
  })

  test('PGlite to a file: the same, with fewer events', { timeout: 600_000 }, async () => {
    const flags = ['--store', 'pglite', '--events', '2000', '--producers', '2', '--relays', '3', '--kills', '5']
    expect(await runDemo(flags)).toMatch(
      /^committed 2000 · delivered 2000 · lost 0 · out of order 0 · leaked from rollbacks 0 /,
    )
  })

  describeWith(['postgres', 'redis'], 'on PostgreSQL and Redis', () => {
    test('nothing lost, in order, every repeat explained', { timeout: 600_000 }, async () => {
      const env = { DATABASE_URL: await sharedPostgres(), REDIS_URL: await sharedRedis() }
      expect(await runDemo([...fleet, '--store', 'postgres', '--broker', 'redis'], env)).toMatch(clean)
    })
  })

  describeWith(['postgres', 'nats'], 'on PostgreSQL and JetStream', () => {
    test('nothing lost, in order, every repeat explained', { timeout: 600_000 }, async () => {
      const env = { DATABASE_URL: await sharedPostgres(), NATS_URL: await sharedNats() }
      expect(await runDemo([...fleet, '--store', 'postgres', '--broker', 'nats'], env)).toMatch(clean)
    })
  })
})
