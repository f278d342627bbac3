import type { Arena } from '../arena.ts'
import { brokerArena, startBroker } from '../arenas/broker.ts'
import { postgresArena } from '../arenas/postgres.ts'
import { type Entrant, race } from '../race.ts'
import type { Heat, Scenario, ScenarioOptions } from '../scenario.ts'
import { spreadOver } from '../statistics.ts'

const drains = ['postgres/outbox', 'postgres/by-hand', 'postgres/outbox-log', 'postgres/cursor']
const publishers = ['publish/jetstream-outbox', 'publish/jetstream-js-publish']

export const profile: Scenario = {
  title: 'Where the time goes',
  about:
    'Runs under the profiler, and slower for it: the CPU of the contestant’s process by package, and the time that PostgreSQL plans and executes, by statement. A server that executes may wait for its disk or for the other lanes, so its times are more than its CPU.',
  async run(options) {
    const heats: Heat[] = []
    {
      await using arena = await postgresArena({
        settings: { shared_preload_libraries: 'pg_stat_statements', 'pg_stat_statements.track_planning': 'on' },
      })
      for (const name of drains) heats.push(await heat(arena, { name, rows: 200_000, brokerUrl: '' }, options))
    }
    await using broker = await startBroker('nats')
    const [arena, brokerUrl] = [brokerArena(broker), broker.server.url]
    for (const name of publishers) heats.push(await heat(arena, { name, rows: 100_000, brokerUrl }, options))
    return heats
  },
  goals: () => [],
}

/** One contestant, with a row of the table for each thing that takes time. */
async function heat(
  arena: Arena,
  { name, rows: full, brokerUrl }: { readonly name: string; readonly rows: number; readonly brokerUrl: string },
  { rounds, scale, isIsolated, note }: ScenarioOptions,
): Promise<Heat> {
  const rows = Math.max(1, Math.round(full * scale))
  const setting = { rows, aggregates: 1000, payloadBytes: 480, brokerUrl }
  const entrants = await race({ arena, contestants: [`profile/${name}`], setting, rounds, isIsolated, note })
  return {
    name: name.replace('/', '-'),
    title: `Where the time goes: ${entrants.map(({ title }) => title).join()}`,
    setting: `${arena.description}; ${rows} rows`,
    entrants: entrants.flatMap(partsOf),
  }
}

function partsOf({ samples, ...entrant }: Entrant): readonly Entrant[] {
  const parts = new Set(samples.flatMap(({ figures }) => Object.keys(figures)))
  return [...parts].flatMap((part) => {
    const having = samples.filter(({ figures }) => part in figures)
    const median = spreadOver(having, ({ figures }) => figures[part])?.median
    if (median === undefined) return []
    const figures = { 'µs/row': median }
    return [{ ...entrant, name: part, title: part, samples: [{ rows: 0, ms: 0, nodeCpuMs: 0, figures }] }]
  })
}
