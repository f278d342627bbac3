import { Chance } from './chance.ts'
import type { Moment, ServerName } from './network.ts'

/** undefined: at once. Otherwise as soon as a request of that relay to that server is there. */
export type Ambushed = { readonly server: ServerName; readonly moment: Moment } | undefined

/** What goes wrong, and when: milliseconds of the world's time. */
export type Fault = { readonly at: number } & (
  | { readonly kind: 'kill'; readonly relay: number; readonly restartAfterMs: number; readonly when: Ambushed }
  | { readonly kind: 'pause'; readonly relay: number; readonly forMs: number; readonly when: Ambushed }
  | { readonly kind: 'restart'; readonly relay: number; readonly afterMs: number }
  | {
      readonly kind: 'away'
      readonly server: ServerName
      /** undefined: away for everybody */
      readonly relay: number | undefined
      readonly how: 'refusing' | 'silent'
      readonly forMs: number
    }
  | { readonly kind: 'slow'; readonly server: ServerName; readonly slowness: number; readonly forMs: number }
  | { readonly kind: 'lostAnswers'; readonly server: ServerName; readonly probability: number; readonly forMs: number }
  | { readonly kind: 'busyDatabase'; readonly probability: number; readonly forMs: number }
  | { readonly kind: 'refusals'; readonly probability: number; readonly forMs: number }
  | { readonly kind: 'fullBroker'; readonly forMs: number }
  | { readonly kind: 'forgottenDeduplication' }
  | { readonly kind: 'lostTail'; readonly count: number }
  | { readonly kind: 'databaseClock'; readonly byMs: number }
  /** as after a database was restored to an older state: the broker has seen epochs that are to come again */
  | { readonly kind: 'forgottenEpochs'; readonly count: number }
  | { readonly kind: 'requeue' }
  /** an operator requeues at once what a relay gives up, and the relay misses half of the answers that it is given up */
  | { readonly kind: 'hastyRequeue'; readonly relay: number; readonly forMs: number }
  | { readonly kind: 'discard' }
  | { readonly kind: 'purge' }
)

/** One run, laid out before it begins. */
export interface Plan {
  readonly seed: number
  readonly relays: number
  /** started some time after the others */
  readonly lateRelays: number
  readonly entries: number
  readonly aggregates: number
  readonly producers: number
  readonly rollbackProbability: number
  /** shares of entries that the broker never takes, and whose publishing kills the process */
  readonly poison: { readonly rejected: number; readonly deadly: number }
  readonly broker: {
    /** `batch`: one request for a whole batch, in order; `single`: one request per entry, in any order */
    readonly takes: 'batch' | 'single'
    readonly fences: boolean
    readonly dedupeWindowMs: number | undefined
    readonly probes: boolean
  }
  readonly relay: {
    readonly lanes: number
    readonly batchSize: number
    readonly batchSizePerAggregate: number
    readonly pollIntervalMs: number
    readonly leaseMs: number
    readonly publishTimeoutMs: number
    readonly storeTimeoutMs: number
    readonly drainMs: number
    readonly maxCrashes: number
    readonly onDead: 'skip' | 'block'
    readonly retry: { readonly maxAttempts: number; readonly minDelayMs: number; readonly maxDelayMs: number }
  }
  /** how long a message typically travels */
  readonly latencyMs: number
  /** wake-ups arrive with this probability */
  readonly wakeProbability: number
  /** clocks of relays run at 1 ± this */
  readonly drift: number
  /** producers and faults have this long; afterwards the world is well */
  readonly stormMs: number
  readonly faults: readonly Fault[]
}

/** Everything about a run that the seed decides. */
export function planOf(seed: number): Plan {
  const chance = new Chance(seed)
  const relays = chance.between(1, 4)
  const stormMs = chance.between(3_000, 20_000)
  const pollIntervalMs = chance.pick([200, 500, 1_000])
  const leaseMs = pollIntervalMs * chance.between(4, 9)
  const publishTimeoutMs = chance.between(100, leaseMs - 2 * pollIntervalMs)
  const plan: Omit<Plan, 'faults'> = {
    seed,
    relays,
    lateRelays: chance.between(0, 2),
    entries: chance.between(50, 400),
    aggregates: chance.pick([1, 3, 10, 40]),
    producers: chance.between(1, 5),
    rollbackProbability: chance.pick([0, 0.1, 0.3]),
    poison: {
      rejected: chance.happens(0.2) ? 0.03 : 0,
      deadly: chance.happens(0.15) ? 0.01 : 0,
    },
    broker: {
      takes: chance.pick(['batch', 'single']),
      fences: chance.happens(0.5),
      dedupeWindowMs: chance.pick([undefined, 2_000, 120_000]),
      probes: chance.happens(0.9),
    },
    relay: {
      lanes: chance.between(1, 4),
      batchSize: chance.pick([1, 5, 20, 100]),
      batchSizePerAggregate: chance.pick([1, 3, 10, 100]),
      pollIntervalMs,
      leaseMs,
      publishTimeoutMs,
      storeTimeoutMs: chance.between(100, leaseMs),
      drainMs: 5_000,
      maxCrashes: chance.between(3, 5),
      onDead: chance.pick(['skip', 'block']),
      retry: { maxAttempts: chance.between(2, 8), minDelayMs: 20, maxDelayMs: 2_000 },
    },
    latencyMs: chance.pick([1, 5, 20]),
    wakeProbability: chance.pick([0, 0.5, 1]),
    drift: chance.pick([0, 0.001, 0.01]),
    stormMs,
  }
  const faults = [...faultsOf(plan, chance), ...forgottenEpochsOf(plan, chance)]
  return { ...plan, faults: faults.sort((a, b) => a.at - b.at) }
}

function faultsOf(plan: Omit<Plan, 'faults'>, chance: Chance): readonly Fault[] {
  const count = chance.happens(0.05) ? 0 : chance.between(1, 20)
  return Array.from({ length: count }, () => faultOf(plan, chance))
}

/** Only a broker that fences notices. */
function forgottenEpochsOf({ broker, stormMs }: Omit<Plan, 'faults'>, chance: Chance): readonly Fault[] {
  if (!broker.fences || !chance.happens(0.1)) return []
  return [{ at: chance.between(100, stormMs), kind: 'forgottenEpochs', count: chance.between(1, 5) }]
}

function faultOf(plan: Omit<Plan, 'faults'>, chance: Chance): Fault {
  const at = chance.between(100, plan.stormMs)
  const relay = chance.between(0, plan.relays + plan.lateRelays - 1)
  const server = chance.pick(['database', 'broker'] as const)
  const { leaseMs } = plan.relay
  const forMs = chance.pick([
    chance.between(20, 500),
    chance.between(500, 2 * leaseMs),
    chance.between(leaseMs, 3 * leaseMs),
  ])
  const when = chance.happens(0.2) ? undefined : { server, moment: chance.pick(['leaving', 'taken'] as const) }
  switch (chance.between(0, 15)) {
    case 0:
    case 1:
    case 2:
      return { at, kind: 'kill', relay, restartAfterMs: chance.between(0, 2_000), when }
    case 3:
    case 4:
      return { at, kind: 'pause', relay, forMs, when }
    case 5:
      return { at, kind: 'restart', relay, afterMs: chance.between(0, 1_000) }
    case 6:
    case 7: {
      const whom = chance.happens(0.5) ? relay : undefined
      return { at, kind: 'away', server, relay: whom, how: chance.pick(['refusing', 'silent']), forMs }
    }
    case 8:
      return { at, kind: 'slow', server, slowness: chance.pick([10, 100, 1_000]), forMs }
    case 9:
      return { at, kind: 'lostAnswers', server, probability: chance.pick([0.1, 0.5, 1]), forMs }
    case 10:
      return { at, kind: 'busyDatabase', probability: chance.pick([0.1, 0.5]), forMs }
    case 11:
      return { at, kind: 'refusals', probability: chance.pick([0.1, 0.5]), forMs }
    case 12:
      return { at, kind: 'fullBroker', forMs }
    case 13:
      return chance.pick([
        { at, kind: 'forgottenDeduplication' },
        { at, kind: 'lostTail', count: chance.between(1, 5) },
      ])
    case 14:
      return { at, kind: 'databaseClock', byMs: chance.between(-5_000, 5_000) }
    default:
      return operatorOf(chance.pick(['requeue', 'discard', 'purge']), { at, relay, when, forMs })
  }
}

function operatorOf(
  kind: 'requeue' | 'discard' | 'purge',
  {
    at,
    relay,
    when,
    forMs,
  }: { readonly at: number; readonly relay: number; readonly when: Ambushed; readonly forMs: number },
): Fault {
  return kind === 'requeue' && when ? { at, kind: 'hastyRequeue', relay, forMs } : { at, kind }
}
