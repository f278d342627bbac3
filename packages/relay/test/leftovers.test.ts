import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

/** What a program printed, a value for each line. It must end by itself. @throws when it fails, or has not ended in time */
async function run(program: string, args: readonly string[], flags: readonly string[] = []): Promise<unknown[]> {
  const file = fileURLToPath(new URL(`children/${program}`, import.meta.url))
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--conditions=@outbox/source', ...flags, file, ...args],
    { timeout: 200_000 },
  )
  return stdout.trim().split('\n').map(parse)
}

function parse(line: string): unknown {
  return JSON.parse(line)
}

test('a stop leaves no timer, no listener and no rejection, whatever the relay is at, and the process ends', async () => {
  expect(await run('stops.ts', [])).toEqual(
    [
      'at rest',
      'starting, the check without an answer',
      'in backoff',
      'breaker open',
      'starting, a probe without an answer',
      'publishing, without an answer',
      'database away from the start',
      'database away while it runs',
      'database without an answer',
    ].map((state) => ({ state, timers: 0, listeners: 0 })),
  )
})

test('memory is bounded by batchBytes and lanes, whatever the payloads: 128 MiB pass through a heap of 48', async () => {
  const [entries, payloadBytes, batchBytes, lanes] = [256, 524_288, 2_097_152, 4]
  const args = [entries, payloadBytes, batchBytes, lanes].map(String)
  const [report] = await run('big-payloads.ts', args, ['--max-old-space-size=48'])
  expect(report).toEqual({ published: entries, mostInFlight: lanes * batchBytes })
})
