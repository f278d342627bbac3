import { startBroker } from '../arenas/broker.ts'
import { postgresArena } from '../arenas/postgres.ts'
import { race } from '../race.ts'
import type { Goal, Heat, Scenario } from '../scenario.ts'
import { spreadOver } from '../statistics.ts'

const rates = [10, 500, 2000] as const
const seconds = 20
const contestants = ['latency/wake-up', 'latency/polling']

export const latency: Scenario = {
  title: 'Latency',
  about: 'From the end of a commit until Redis has acknowledged its event, at a steady rate.',
  async run({ rounds, scale, isIsolated, note }) {
    await using broker = await startBroker('redis')
    await using arena = await postgresArena({ also: [broker.server] })
    const heats: Heat[] = []
    for (const perSecond of rates) {
      const rows = Math.max(5, Math.round(perSecond * seconds * Math.min(1, scale)))
      const setting = { rows, aggregates: 1000, payloadBytes: 480, brokerUrl: broker.server.url, perSecond }
      heats.push({
        name: String(perSecond),
        title: `${perSecond} events per second`,
        setting: `${arena.description}; ${broker.description}; ${rows} events, one in a transaction`,
        entrants: await race({ arena, contestants, setting, rounds, isIsolated, note }),
      })
    }
    return heats
  },
  goals(heats) {
    const entrants = heats.find(({ name }) => name === '500')?.entrants ?? []
    const goal = (text: string, contestant: string, figure: string, belowMs: number): Goal => {
      const samples = entrants.find(({ name }) => name === contestant)?.samples ?? []
      const ms = spreadOver(samples, ({ figures }) => figures[figure])?.median
      return {
        goal: text,
        measured: ms === undefined ? 'not measured' : `${ms.toFixed(1)} ms`,
        isMet: ms === undefined ? undefined : ms < belowMs,
      }
    }
    return [
      goal('latency at 500/s with wake-up: p50 < 5 ms', 'latency/wake-up', 'p50 ms', 5),
      goal('latency at 500/s with wake-up: p99 < 25 ms', 'latency/wake-up', 'p99 ms', 25),
      goal('latency at 500/s, polling only: p50 < half the poll interval + 5 ms', 'latency/polling', 'p50 ms', 505),
    ]
  },
}
