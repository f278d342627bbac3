import { postgresArena } from '../arenas/postgres.ts'
import { race } from '../race.ts'
import { type Goal, type Heat, ratioGoal, type Scenario } from '../scenario.ts'
import { rateOf, spreadOver } from '../statistics.ts'

const sizes = [
  { perTransaction: 1, clients: 1, rows: 2_000, hasGoal: false },
  { perTransaction: 1, clients: 8, rows: 8_000, hasGoal: true },
  { perTransaction: 1, clients: 32, rows: 16_000, hasGoal: false },
  { perTransaction: 10, clients: 1, rows: 10_000, hasGoal: false },
  { perTransaction: 100, clients: 1, rows: 50_000, hasGoal: true },
  { perTransaction: 1000, clients: 1, rows: 100_000, hasGoal: false },
] as const

const contestants = ['enqueue/plain', 'enqueue/caller', 'enqueue/assigned']

export const enqueue: Scenario = {
  title: 'Enqueue',
  about: 'What an event costs its producer, over a plain insert of the same row into the same table.',
  async run({ rounds, scale, isIsolated, note }) {
    await using arena = await postgresArena()
    const heats: Heat[] = []
    const chosen = isIsolated ? sizes : sizes.filter(({ hasGoal }) => hasGoal)
    for (const { perTransaction, clients, rows: full } of chosen) {
      const rows = Math.max(perTransaction, Math.round(full * scale))
      const setting = { rows, aggregates: 1000, payloadBytes: 480, brokerUrl: '', perTransaction, clients }
      const here = perTransaction === 1 && clients === 8 ? [...contestants, 'enqueue/with-relay'] : contestants
      note(`${perTransaction} in a transaction, ${clients} clients`)
      heats.push({
        name: `${perTransaction}x${clients}`,
        title: `${perTransaction} in a transaction, ${clients === 1 ? '1 client' : `${clients} clients`}`,
        setting: `${arena.description}; ${rows} rows`,
        entrants: await race({ arena, contestants: here, setting, rounds, isIsolated, note }),
      })
    }
    return heats
  },
  goals(heats) {
    const hundred = heats.find(({ name }) => name === '100x1')?.entrants ?? []
    const eight = heats.find(({ name }) => name === '1x8')?.entrants ?? []
    const plain = rateOf(hundred, 'enqueue/plain')
    return [
      ratioGoal(
        'enqueue 100 in one transaction: caller’s sequences ≤ 1.15 × a plain insert',
        [plain, rateOf(hundred, 'enqueue/caller')],
        { atMost: 1.15, isCeiling: true },
      ),
      ratioGoal(
        'enqueue 100 in one transaction: assigned sequences ≤ 1.5 × a plain insert',
        [plain, rateOf(hundred, 'enqueue/assigned')],
        { atMost: 1.5, isCeiling: true },
      ),
      cpuGoal(hundred),
      ratioGoal(
        'producers while the relay works: ≥ 0.9 × without',
        [rateOf(eight, 'enqueue/with-relay'), rateOf(eight, 'enqueue/assigned')],
        { atLeast: 0.9 },
      ),
    ]
  },
}

function cpuGoal(entrants: Heat['entrants']): Goal {
  const samples = entrants.find(({ name }) => name === 'enqueue/assigned')?.samples ?? []
  const perRow = spreadOver(samples, ({ nodeCpuMs, rows }) => (nodeCpuMs * 1000) / rows)?.median
  return {
    goal: 'enqueue 100 in one transaction: node CPU per row ≤ 25 µs',
    measured: perRow === undefined ? 'not measured' : `${perRow.toFixed(1)} µs`,
    isMet: perRow === undefined ? undefined : perRow <= 25,
  }
}
