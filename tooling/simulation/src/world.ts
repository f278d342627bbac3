import { type MemoryOutbox, type MemoryOutboxOptions, memoryOutbox } from '@outbox/memory'
import { Broker, type Poison } from './broker.ts'
import { Chance } from './chance.ts'
import { Database } from './database.ts'
import { type CreateRelay, Fleet } from './fleet.ts'
import { History } from './history.ts'
import { Ledger } from './ledger.ts'
import { Network } from './network.ts'
import type { Plan } from './plan.ts'
import { Timeline } from './timeline.ts'
import { Workload } from './workload.ts'

/** What can be exchanged for a broken part, to see that the checker notices. */
export interface Parts {
  readonly createRelay: CreateRelay
  readonly outbox?: (options: MemoryOutboxOptions) => MemoryOutbox
}

/** Everything that there is in one run. */
export interface World {
  readonly plan: Plan
  readonly timeline: Timeline
  readonly history: History
  readonly ledger: Ledger
  readonly network: Network
  readonly outbox: MemoryOutbox
  readonly database: Database
  readonly databaseClock: { aheadMs: number }
  readonly broker: Broker
  readonly fleet: Fleet
  readonly workload: Workload
  readonly poison: ReadonlyMap<string, Poison>
}

const firstDay = Date.UTC(2030, 0, 1)

export function worldOf(plan: Plan, parts: Parts): World {
  const chance = new Chance(plan.seed ^ 0x5bd1e995)
  const timeline = new Timeline()
  const history = new History(timeline)
  const databaseClock = { aheadMs: 0 }
  const databaseNow = (): number => timeline.now + databaseClock.aheadMs
  const outbox = (parts.outbox ?? memoryOutbox)({
    clock: { monotonic: databaseNow, schedule: (callback, delayMs) => timeline.after(delayMs, callback) },
    ids: { now: () => firstDay + timeline.now, random: chance.fork().bytes },
  })
  const ledger = new Ledger(databaseNow)
  const network = new Network(timeline, chance.fork(), plan.latencyMs)
  const poison = new Map<string, Poison>()
  const base = { timeline, history, ledger, network, outbox, poison }
  const database = new Database(outbox, { ...base, plan, chance: chance.fork() })
  const broker = new Broker(plan.broker, { ...base, database, chance: chance.fork() })
  const fleet = new Fleet(plan, parts.createRelay, {
    ...base,
    chance: chance.fork(),
    storeFor: (machine) => database.seenFrom(machine),
    publisherFor: (machine) => broker.seenFrom(machine),
  })
  const workload = new Workload(plan, { ...base, chance: chance.fork() })
  return { ...base, plan, database, databaseClock, broker, fleet, workload }
}
