import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { withFigures } from '../src/page.ts'
import { isDone, merged, readResults } from '../src/record.ts'
import type { Result } from '../src/run.ts'

const inDocs = (name: string): string => fileURLToPath(new URL(`../../../docs/${name}`, import.meta.url))

const one: Result = {
  store: 'sqlite',
  publisher: 'redis',
  fault: 'relay-sigkill',
  entries: 10,
  lost: [],
  leaked: [],
  outOfOrder: [],
  dead: 0,
  repeats: { stepBack: 1, echo: 0, unanswered: 0 },
  entriesPerSecond: 500,
  dropped: 0,
  injected: 4,
  kills: 4,
  at: '2026-01-01T00:00:00.000Z',
  servers: ['Redis 8.0.0'],
  machine: 'a machine',
  medianRecoveryMs: 100,
  worstRecoveryMs: 200,
  recoveries: 2,
  timelyRecoveries: 2,
  medianCatchUpMs: 150,
  worstCatchUpMs: 300,
  slowestStopMs: 0,
  seconds: 60,
  wrong: [],
}

it('docs/faults.md is what the figures in docs/faults.json make of it', async () => {
  const page = await readFile(inDocs('faults.md'), 'utf8')
  expect(page).toBe(withFigures(page, await readResults(inDocs('faults.json'))))
})

it('of two runs of the same the later one counts', () => {
  const later = { ...one, at: '2026-01-02T00:00:00.000Z', entries: 20 }
  expect(merged([later], [one])).toEqual([later])
})

it('a run that was broken is run again, one that was right is not', () => {
  expect(isDone([one], one)).toBe(true)
  expect(isDone([{ ...one, wrong: ['2 lost'] }], one)).toBe(false)
  expect(isDone([one], { ...one, store: 'mysql' })).toBe(false)
})
