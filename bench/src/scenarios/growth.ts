import type { Arena } from '../arena.ts'
import { postgresArena } from '../arenas/postgres.ts'
import { race, type Variant } from '../race.ts'
import { type Heat, ratioGoal, type Scenario, type ScenarioOptions } from '../scenario.ts'
import { rateOf } from '../statistics.ts'

const portion = 'growth/portion'

/** What is measured beside each other, smallest first; rows are already to scale. */
interface Question {
  readonly name: string
  readonly title: string
  readonly setting: string
  readonly variants: readonly Variant[]
}

export const growth: Scenario = {
  title: 'Growth',
  about:
    'Whether the relay stays as fast: with a longer backlog, more rows kept, more relays, few or many aggregates, a hot one, larger payloads, an old snapshot held open; and whether the tables stop growing while all of it goes on.',
  async run(options) {
    const heats: Heat[] = []
    {
      await using arena = await postgresArena()
      for (const question of questions(options.scale)) heats.push(await heat(arena, question, options))
    }
    return [...heats, await churn(options)]
  },
  goals(heats) {
    const entrants = heats.flatMap((one) => one.entrants)
    const rate = (name: string) => rateOf(entrants, name)
    return [
      ratioGoal(
        'growth: the drain with 5 M rows kept and 500 k pending: ≥ 0.9 × that of 10 k',
        [rate('kept-5m'), rate('backlog-10k')],
        { atLeast: 0.9 },
      ),
      ratioGoal('growth: 8 relays on one saturated database: ≥ 0.9 × one relay', [rate('relays-8'), rate('relays-1')], {
        atLeast: 0.9,
      }),
      ratioGoal(
        'growth: the others beside one hot aggregate: > 0.9 × as fast as without it',
        [rate('hot-1'), rate('hot-0')],
        { atLeast: 0.9 },
      ),
    ]
  },
}

function questions(scale: number): readonly Question[] {
  const scaled = (rows: number): number => Math.max(1, Math.round(rows * scale))
  return [backlogs(scaled), relays(scaled), aggregates(scaled), hot(scaled), payloads(scaled), snapshots(scaled)]
}

type Scaled = (rows: number) => number

function backlogs(scaled: Scaled): Question {
  const rows = scaled(10_000)
  const pending = [
    { name: 'backlog-10k', backlog: rows },
    { name: 'backlog-1m', backlog: scaled(1_000_000) },
    { name: 'backlog-5m', backlog: scaled(5_000_000) },
  ]
  const kept = { backlog: scaled(500_000), kept: scaled(5_000_000) }
  return {
    name: 'backlog',
    title: 'Backlogs, and rows kept',
    setting: `the first ${counted(rows)} entries of each`,
    variants: [
      ...pending.map(({ name, backlog }) => ({
        name,
        title: `${counted(backlog)} pending`,
        contestant: portion,
        setting: { rows, backlog },
      })),
      {
        name: 'kept-5m',
        title: `${counted(kept.backlog)} pending, ${counted(kept.kept)} kept`,
        contestant: portion,
        setting: { rows, ...kept },
      },
    ],
  }
}

function relays(scaled: Scaled): Question {
  const rows = scaled(100_000)
  return {
    name: 'relays',
    title: 'Relays on one database',
    setting: `${counted(rows)} entries, drained to the end`,
    variants: [1, 2, 4, 8].map((count) => ({
      name: `relays-${count}`,
      title: count === 1 ? '1 relay' : `${count} relays`,
      contestant: 'growth/several-relays',
      setting: { rows, relays: count },
      database: 'relays',
    })),
  }
}

function aggregates(scaled: Scaled): Question {
  const [rows, backlog] = [scaled(20_000), scaled(200_000)]
  return {
    name: 'aggregates',
    title: 'Aggregates',
    setting: `the first ${counted(rows)} of ${counted(backlog)} entries`,
    variants: [1, 100, 10_000, 100_000].map((count) => ({
      name: `aggregates-${count}`,
      title: count === 1 ? '1 aggregate' : `${counted(Math.min(count, backlog))} aggregates`,
      contestant: portion,
      setting: { rows, backlog, aggregates: count },
    })),
  }
}

function hot(scaled: Scaled): Question {
  const [rows, others] = [scaled(100_000), scaled(200_000)]
  const share = 0.2
  return {
    name: 'hot',
    title: 'One hot aggregate',
    setting: `the first ${counted(rows)} of ${counted(others)} entries of the others, whose rate is shown; neighbours are those of them in the partition of the hot one`,
    variants: [
      {
        name: 'hot-0',
        title: 'without it',
        contestant: portion,
        setting: { rows, backlog: others, hotShare: 0 },
      },
      {
        name: 'hot-1',
        title: 'with 20 % of the load',
        contestant: portion,
        setting: { rows, backlog: Math.round(others / (1 - share)), hotShare: share },
      },
    ],
  }
}

function payloads(scaled: Scaled): Question {
  const sizes = [
    { name: 'payload-100', title: '100 B', payloadBytes: 100, rows: 40_000 },
    { name: 'payload-4k', title: '4 kB', payloadBytes: 4_000, rows: 10_000 },
    { name: 'payload-64k', title: '64 kB', payloadBytes: 64_000, rows: 1_000 },
    { name: 'payload-256k', title: '256 kB', payloadBytes: 256_000, rows: 500 },
  ]
  return {
    name: 'payloads',
    title: 'Payloads',
    setting: 'of 100 aggregates, in text that does not compress',
    variants: sizes.map(({ name, title, payloadBytes, rows }) => ({
      name,
      title: `${counted(scaled(rows))} of ${title}`,
      contestant: portion,
      setting: { rows: scaled(rows), payloadBytes, aggregates: 100 },
    })),
  }
}

function snapshots(scaled: Scaled): Question {
  const rows = scaled(100_000)
  return {
    name: 'snapshot',
    title: 'An old snapshot held open',
    setting: `${counted(rows)} entries, drained to the end`,
    variants: [false, true].map((hasOldSnapshot) => ({
      name: hasOldSnapshot ? 'snapshot-1' : 'snapshot-0',
      title: hasOldSnapshot ? 'with it' : 'without it',
      contestant: portion,
      setting: { rows, hasOldSnapshot },
      database: 'snapshot',
    })),
  }
}

async function heat(
  arena: Arena,
  { name, title, setting, variants }: Question,
  { rounds, isIsolated, note }: ScenarioOptions,
): Promise<Heat> {
  note(title)
  return {
    name,
    title,
    setting: `${arena.description}; ${setting}`,
    entrants: await race({
      arena,
      contestants: isIsolated ? variants : smallestAndLargest(variants),
      setting: { rows: 1, aggregates: 1000, payloadBytes: 480, brokerUrl: '' },
      rounds,
      isIsolated,
      note,
    }),
  }
}

function smallestAndLargest<T>(all: readonly T[]): readonly T[] {
  return [...all.slice(0, 1), ...all.slice(-1)]
}

/** A day in minutes: the rows are turned over many times, and so the vacuum comes by as much more often. */
async function churn({ rounds, scale, isIsolated, note }: ScenarioOptions): Promise<Heat> {
  await using arena = await postgresArena({ settings: { autovacuum_naptime: '5s' } })
  const rows = Math.max(100, Math.round(1_000_000 * scale))
  const kept = Math.ceil(rows / 20)
  const setting = { rows, kept, backlog: 5_000, aggregates: 1000, payloadBytes: 480, brokerUrl: '' }
  const clients = { perTransaction: 100, clients: 2 }
  note('A day’s churn')
  return {
    name: 'churn',
    title: 'A day’s churn',
    setting: `${arena.description}; ${counted(rows)} entries, ${counted(kept)} published ones kept, ${clients.clients} producers of ${clients.perTransaction} in a transaction`,
    entrants: await race({
      arena,
      contestants: ['growth/churn'],
      setting: { ...setting, ...clients },
      rounds,
      isIsolated,
      note,
    }),
  }
}

function counted(rows: number): string {
  return rows.toLocaleString('en')
}
