import { postgresArena } from '../arenas/postgres.ts'
import { race } from '../race.ts'
import type { Scenario } from '../scenario.ts'
import { spreadOver } from '../statistics.ts'

export const idle: Scenario = {
  title: 'Idle',
  about: 'What a relay with nothing to do asks of its database, leases included.',
  async run({ rounds, scale, isIsolated, note }) {
    await using arena = await postgresArena()
    const seconds = Math.max(1, 20 * Math.min(1, scale))
    const setting = { rows: 1, aggregates: 1, payloadBytes: 0, brokerUrl: '', seconds }
    const entrants = await race({ arena, contestants: ['idle/outbox'], setting, rounds, isIsolated, note })
    return [{ name: 'idle', title: 'At rest', setting: `${arena.description}; ${seconds} s`, entrants }]
  },
  goals(heats) {
    const samples = heats[0]?.entrants[0]?.samples ?? []
    const rate = spreadOver(samples, ({ figures }) => figures['queries/s'])?.median
    return [
      {
        goal: 'idle: ≤ 1 query/s per relay, leases included',
        measured: rate === undefined ? 'not measured' : `${rate.toFixed(2)}/s`,
        isMet: rate === undefined ? undefined : rate <= 1,
      },
    ]
  },
}
