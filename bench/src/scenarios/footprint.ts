import { postgresArena } from '../arenas/postgres.ts'
import { bundles } from '../bundles.ts'
import { race } from '../race.ts'
import type { Goal, Heat, Scenario, ScenarioOptions } from '../scenario.ts'

const largeBacklog = 'memory-1m'
/** what docs/operations.md advises where memory is short */
const smallYoung = { name: 'memory-1m-small-young', flag: '--max-semi-space-size=4' }
const coreAndRelay = '@outbox/core + @outbox/relay'

export const footprint: Scenario = {
  title: 'Footprint',
  about:
    'What a relay takes of a machine: memory with a large backlog, the time from the start of its process to the first batch published, and the size of what is shipped.',
  async run(options) {
    await using arena = await postgresArena()
    return [await memory(arena, options), await startUp(arena, options), await sizes()]
  },
  goals(heats) {
    const entrants = heats.flatMap((heat) => heat.entrants)
    const samples = (name: string) => entrants.find((one) => one.name === name)?.samples ?? []
    const most = (values: readonly (number | undefined)[]): number | undefined => {
      const known = values.filter((value) => value !== undefined)
      return known.length === 0 ? undefined : Math.max(...known)
    }
    return [
      ...[
        { name: largeBacklog, under: '' },
        { name: smallYoung.name, under: `, under ${smallYoung.flag}` },
      ].map(({ name, under }) =>
        limitGoal(
          `footprint: RSS of the relay’s process at a backlog of 1 M < 150 MB${under}`,
          most(samples(name).map(({ rssBytes }) => rssBytes)),
          { unit: 'MB', size: 1e6, below: 150 },
        ),
      ),
      limitGoal(
        'footprint: core and relay, minified and compressed < 12 kB',
        most(samples(coreAndRelay).map(({ figures }) => figures['bytes'])),
        { unit: 'kB', size: 1e3, below: 12 },
      ),
    ]
  },
}

type PostgresArena = Awaited<ReturnType<typeof postgresArena>>

async function memory(arena: PostgresArena, { rounds, scale, isIsolated, note }: ScenarioOptions): Promise<Heat> {
  const scaled = (rows: number): number => Math.max(1, Math.round(rows * scale))
  const [small, large, rows] = [scaled(10_000), scaled(1_000_000), scaled(200_000)]
  const variants = [
    { name: 'memory-10k', backlog: small, rows: small },
    { name: largeBacklog, backlog: large, rows },
    { name: smallYoung.name, backlog: large, rows, flag: smallYoung.flag },
  ]
  return {
    name: 'memory',
    title: 'Memory of a relay',
    setting: `${arena.description}; payloads of 480 bytes; the first ${rows.toLocaleString('en')} entries are drained`,
    entrants: await race({
      arena,
      contestants: variants.map(({ name, flag, ...setting }) => ({
        name,
        title: `${setting.backlog.toLocaleString('en')} pending${flag ? `, under ${flag}` : ''}`,
        contestant: 'growth/portion',
        setting,
        database: `${setting.backlog} pending`,
        nodeArguments: flag ? [flag] : [],
      })),
      setting: { rows, aggregates: 1000, payloadBytes: 480, brokerUrl: '' },
      rounds,
      isIsolated,
      note,
    }),
  }
}

async function startUp(arena: PostgresArena, { rounds, isIsolated, note }: ScenarioOptions): Promise<Heat> {
  const setting = { rows: 0, backlog: 500, aggregates: 100, payloadBytes: 480, brokerUrl: '' }
  return {
    name: 'start-up',
    title: 'Start of a relay',
    setting: `${arena.description}; ${setting.backlog} entries wait; times since the start of the process`,
    entrants: await race({ arena, contestants: ['footprint/start-up'], setting, rounds, isIsolated, note }),
  }
}

async function sizes(): Promise<Heat> {
  return {
    name: 'sizes',
    title: 'Sizes',
    setting: 'ES modules, minified by esbuild and compressed by gzip; what is loaded only when needed is left out',
    entrants: (await bundles()).map(({ what, bytes }) => ({
      name: what,
      title: what,
      role: 'ours',
      guarantee: { order: 'per aggregate', isFenced: true, isDurable: true },
      tuning: 'as the check of sizes measures it',
      samples: [{ rows: 0, ms: 0, nodeCpuMs: 0, figures: { bytes } }],
    })),
  }
}

function limitGoal(
  goal: string,
  value: number | undefined,
  { unit, size, below }: { readonly unit: string; readonly size: number; readonly below: number },
): Goal {
  if (value === undefined) return { goal, measured: 'not measured', isMet: undefined }
  return { goal, measured: `${(value / size).toFixed(1)} ${unit}`, isMet: value / size < below }
}
