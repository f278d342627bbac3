import type { Arena } from '../arena.ts'
import { startBroker } from '../arenas/broker.ts'
import { mongoArena, mysqlArena, sqliteArena } from '../arenas/others.ts'
import { postgresArena } from '../arenas/postgres.ts'
import { race } from '../race.ts'
import { type Goal, type Heat, ratioGoal, type Scenario, type ScenarioOptions } from '../scenario.ts'
import { rateOf } from '../statistics.ts'

interface Meeting {
  readonly name: string
  readonly title: string
  /** first part of the contestants' names */
  readonly store: string
  readonly broker: 'redis' | 'nats'
  readonly rows: number
  readonly arena: () => Promise<Arena>
}

const meetings: readonly Meeting[] = [
  {
    name: 'postgres',
    title: 'PostgreSQL',
    store: 'postgres',
    broker: 'redis',
    rows: 100_000,
    arena: () => postgresArena(),
  },
  {
    name: 'postgres-nats',
    title: 'PostgreSQL',
    store: 'postgres',
    broker: 'nats',
    rows: 100_000,
    arena: () => postgresArena(),
  },
  { name: 'mysql', title: 'MySQL', store: 'mysql', broker: 'redis', rows: 50_000, arena: () => mysqlArena('mysql') },
  {
    name: 'mariadb',
    title: 'MariaDB',
    store: 'mysql',
    broker: 'redis',
    rows: 50_000,
    arena: () => mysqlArena('mariadb'),
  },
  { name: 'sqlite', title: 'SQLite', store: 'sqlite', broker: 'redis', rows: 50_000, arena: sqliteArena },
  { name: 'mongo', title: 'MongoDB', store: 'mongo', broker: 'redis', rows: 20_000, arena: mongoArena },
]

const alone = { redis: 'publish/redis-outbox', nats: 'publish/jetstream-outbox' } as const

export const endToEnd: Scenario = {
  title: 'End to end',
  about:
    'From each store to a broker, beside the two halves alone, and each store’s drain beside its hand-written loop.',
  async run(options) {
    const heats: Heat[] = []
    for (const meeting of meetings) heats.push(await heat(meeting, options))
    return heats
  },
  goals: (heats) => meetings.flatMap((meeting) => goalsOf(meeting, heats)),
}

async function heat(
  { name, title, store, broker: kind, rows: full, arena: startArena }: Meeting,
  { rounds, scale, isIsolated, note }: ScenarioOptions,
): Promise<Heat> {
  await using broker = await startBroker(kind)
  await using arena = await startArena()
  const rows = Math.round(full * scale)
  const entrants = await race({
    arena,
    contestants: [`${store}/by-hand`, `${store}/outbox`, alone[kind], `${store}/${kind}`],
    setting: { rows, aggregates: 1000, payloadBytes: 480, brokerUrl: broker.server.url },
    rounds,
    isIsolated,
    note,
  })
  const setting = `${arena.description}; ${broker.description}; ${rows} rows of 1,000 aggregates, payloads of 480 bytes`
  return { name, title: `${title} to ${kind === 'redis' ? 'Redis' : 'JetStream'}`, setting, entrants }
}

function goalsOf({ name, title, store, broker }: Meeting, heats: readonly Heat[]): readonly Goal[] {
  const entrants = heats.find((one) => one.name === name)?.entrants ?? []
  const rate = (contestant: string) => rateOf(entrants, contestant)
  const drain = rate(`${store}/outbox`)
  const publish = rate(alone[broker])
  const whole = rate(`${store}/${broker}`)
  const least = drain === undefined || publish === undefined ? undefined : Math.min(drain, publish)
  const way = `${title} to ${broker === 'redis' ? 'Redis' : 'JetStream'}`
  const goals = [ratioGoal(`${way}: ≥ 0.7 × min(drain alone, publish alone)`, [whole, least], { atLeast: 0.7 })]
  if (store === 'postgres') {
    const measured = whole === undefined ? 'not measured' : `${Math.round(whole)} rows/s`
    const isMet = whole === undefined ? undefined : whole >= 10_000
    return [...goals, { goal: `${way}: ≥ 10,000 rows/s where the machine is quiet`, measured, isMet }]
  }
  return [
    ratioGoal(`drain, ${title}: ≥ 0.8 × its hand-written loop`, [drain, rate(`${store}/by-hand`)], {
      atLeast: 0.8,
      isCeiling: true,
    }),
    ...goals,
  ]
}
