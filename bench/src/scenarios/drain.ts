import { postgresArena } from '../arenas/postgres.ts'
import { race } from '../race.ts'
import { type Goal, type Heat, ratioGoal, type Scenario } from '../scenario.ts'
import { rateOf, spreadOver } from '../statistics.ts'

const ours = 'postgres/outbox'
const oursLog = 'postgres/outbox-log'

export const drain: Scenario = {
  title: 'Drain',
  about:
    'A backlog in PostgreSQL goes to a publisher that does nothing: the cost of reading, handing over and marking.',
  async run({ rounds, scale, isIsolated, note }) {
    await using arena = await postgresArena()
    const rows = Math.round(200_000 * scale)
    const entrants = await race({
      arena,
      contestants: [
        ours,
        oursLog,
        'postgres/by-hand',
        'postgres/cursor',
        'postgres/graphile-worker',
        'postgres/pg-boss',
        'postgres/pg-transactional-outbox',
        'postgres/nestjs-outbox',
      ],
      setting: { rows, aggregates: 1000, payloadBytes: 480, brokerUrl: '' },
      rounds,
      isIsolated,
      note,
    })
    const setting = `${arena.description}; ${rows} rows of 1,000 aggregates, payloads of 480 bytes`
    return [{ name: 'drain', title: 'PostgreSQL to nowhere', setting, entrants }]
  },
  goals([heat]) {
    const rate = (name: string) => heat && rateOf(heat.entrants, name)
    const against = (goal: string, name: string, atLeast: number, isCeiling = false) =>
      ratioGoal(goal, [rate(ours), rate(name)], { atLeast, isCeiling })
    return [
      against('drain: ≥ 0.85 × the hand-written loop', 'postgres/by-hand', 0.85, true),
      against('drain: ≥ 3 × graphile-worker', 'postgres/graphile-worker', 3),
      against('drain: ≥ 5 × pg-boss', 'postgres/pg-boss', 5),
      against('drain: ≥ 50 × pg-transactional-outbox', 'postgres/pg-transactional-outbox', 50),
      ratioGoal('drain, log engine: ≥ 0.8 × a raw cursor read', [rate(oursLog), rate('postgres/cursor')], {
        atLeast: 0.8,
        isCeiling: true,
      }),
      ratioGoal('drain, log engine: ≥ 1.8 × the mark engine', [rate(oursLog), rate(ours)], {
        atLeast: 1.8,
      }),
      deadVersionsGoal(heat),
    ]
  },
}

/** Rounded to a hundredth: what is written for each batch counts; that the cursors’ rows find pages at first does not. */
function deadVersionsGoal(heat: Heat | undefined): Goal {
  const samples = heat?.entrants.find(({ name }) => name === oursLog)?.samples ?? []
  const perRow = spreadOver(samples, ({ deadVersions, rows }) => deadVersions && deadVersions / rows)?.median
  const measured = perRow?.toFixed(2)
  return {
    goal: 'drain, log engine: no row versions left for a vacuum',
    measured: measured === undefined ? 'not measured' : `${measured} for a row`,
    isMet: measured === undefined ? undefined : Number(measured) === 0,
  }
}
