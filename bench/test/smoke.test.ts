import { describeWith, type ServiceName } from '@outbox/services'
import { expect, it } from 'vitest'
import { sqliteArena } from '../src/arenas/others.ts'
import { race } from '../src/race.ts'
import { smoke } from '../src/scenario.ts'
import { scenarios } from '../src/scenarios.ts'

const servers = ['postgres', 'mysql', 'mariadb', 'mongo', 'redis', 'nats'] as const satisfies readonly ServiceName[]
const lines: string[] = []
const note = (line: string): void => void lines.push(line)

describeWith(
  servers.map((own) => ({ own })),
  'each scenario runs from end to end, at a tiny scale',
  () => {
    it.each(Object.entries(scenarios))('%s', { timeout: 900_000 }, async (_name, scenario) => {
      const heats = await scenario.run({ ...smoke, note })
      expect(heats).not.toEqual([])
      for (const { entrants } of heats) expect(entrants.map(({ samples }) => samples.length)).toContain(1)
      expect(heats.flatMap(({ entrants }) => entrants).every(({ samples }) => samples.length === 1)).toBe(true)
      for (const goal of scenario.goals(heats)) expect(goal.goal).not.toBe('')
    })
  },
)

it('a contestant in a process of its own does all its rows, and tells what they cost', async () => {
  await using arena = await sqliteArena()
  const setting = { rows: 50, aggregates: 10, payloadBytes: 100, brokerUrl: '' }
  const contestants = ['sqlite/by-hand', 'sqlite/outbox']
  const entrants = await race({ arena, contestants, setting, rounds: 2, isIsolated: true, note })
  expect(entrants.map(({ samples }) => samples.map(({ rows }) => rows))).toEqual([
    [50, 50],
    [50, 50],
  ])
  expect(entrants.every(({ samples }) => samples.every(({ ms, nodeCpuMs }) => ms > 0 && nodeCpuMs > 0))).toBe(true)
})
