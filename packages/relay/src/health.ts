import {
  type CallOptions,
  type Clock,
  OutboxError,
  type PartitionStats,
  type StoreStats,
  systemClock,
} from '@outbox/core'
import { invalidOption, knownOptions, requireMs } from '@outbox/core/adapter'
import { pause, requireTimer } from './pause.ts'
import { nameOf } from './reason.ts'
import type { Relay, RelayStats } from './relay.ts'
import { type Stillness, stillnessOf } from './stillness.ts'
import { within } from './within.ts'

/** How a relay does: for a platform's probes, and for people. */
export interface RelayHealth {
  /** false: it does not go on by itself; start another */
  readonly isLive: boolean
  /** nothing is amiss: what is due leaves; a partition that dead letters may hold up does not make it false */
  readonly isReady: boolean
  /** a partition has an overdue entry, and nothing has left it for as long */
  readonly isStalled: boolean
  /** what is amiss, one sentence each; holds no payload and no secret */
  readonly reasons: readonly string[]
}

/** Partitions have overdue entries, and nothing leaves them. */
export interface Stall {
  /** those that stand still, ascending */
  readonly partitions: readonly number[]
  /** on the database's clock, of all that is pending in them */
  readonly oldestPendingAgeMs: number
  /** for how long nothing has left any of them, as far as the checks saw */
  readonly stillForMs: number
  /** as the check gives them, the stall among them */
  readonly reasons: readonly string[]
}

export interface HealthOptions {
  readonly relay: Pick<Relay, 'stats' | 'on'>
  /**
   * Asked for its backlog at each check. Without it a check asks nobody, so it answers at once, as a probe of life must;
   * nothing is ever called stalled then.
   */
  readonly store?: { stats(options?: CallOptions): Promise<Pick<StoreStats, 'partitions'>> } | undefined
  /** how old a partition's oldest pending entry may be while nothing leaves the partition, default 60,000 ms */
  readonly stalledAfterMs?: number | undefined
  /**
   * Called by the check that finds a stall, once until no partition stands still, however many join it meanwhile. A
   * partition with dead letters is told apart, once until it has caught up. It may be asynchronous: nothing waits for
   * it. What it throws or rejects with is a process warning, and checks say so among their reasons, from the next one
   * on if it was asynchronous, while anything stands still.
   */
  readonly onStalled?: ((stall: Stall) => unknown) | undefined
  /** how long the relay may go without its leases though the database answers, default 60,000 ms */
  readonly stuckAfterMs?: number | undefined
  /**
   * A store that has not answered after so long is away, default 3,000 ms, and a check takes as long: let the platform wait
   * longer for it (Kubernetes: `timeoutSeconds`, 1 by default). From 1 to 2,147,483,647, as a timer takes no more.
   */
  readonly timeoutMs?: number | undefined
  /** for tests and simulations */
  readonly clock?: Clock | undefined
}

export interface HealthCheck {
  /**
   * Looks now, and answers within `timeoutMs`. Rejects only with the reason of a `signal` that aborts: a store that is
   * away, or refuses to answer, is an answer.
   */
  check(options?: CallOptions): Promise<RelayHealth>
  /**
   * Checks every `everyMs` (default 10,000; as a timer takes it) for `onStalled`, and resolves when `signal` aborts. A
   * backlog that cannot be read though the database is not away is a process warning, once until it can.
   *
   * @throws {OutboxError} `invalid-option`, naming the option
   */
  watch(options: { readonly everyMs?: number | undefined; readonly signal: AbortSignal }): Promise<void>
}

const of = 'relayHealth'
const defaults = {
  stalledAfterMs: 60_000,
  stuckAfterMs: 60_000,
  timeoutMs: 3_000,
  clock: systemClock,
  onStalled: (): unknown => undefined,
}

/**
 * Watches a relay that was started, for as long as that lives: each check compares what it finds with the checks before.
 *
 * A relay answers for the partitions that no other relay holds: its own, and those that nobody takes. One of them is
 * stalled when its oldest pending entry is older than `stalledAfterMs`, and for as long no entry of it was published
 * here or became a dead letter. That time begins with the first check that finds something pending, anew when a dead
 * letter is requeued or discarded, and after an outage of the database; it goes on where the backlog could not be read
 * for another reason. Pending is also what waits for another try, or behind a dead letter.
 *
 * It has no timer of its own but that of `watch`: check a few times per `stalledAfterMs` at least. An outage of
 * database or broker leaves the relay live, since it goes on by itself.
 *
 * @throws {OutboxError} `invalid-option`, naming the option
 */
export function relayHealth(options: HealthOptions): HealthCheck {
  const given = knownOptions(of, options, { ...defaults, relay: true, store: true })
  const settings = { ...defaults, ...given }
  const { relay, stalledAfterMs, stuckAfterMs, onStalled, clock } = settings
  if (!relay) throw invalidOption(of, 'relay', 'is missing')
  if ('store' in given && !Object(given.store).stats) throw invalidOption(of, 'store', 'has no stats')
  if (typeof onStalled !== 'function') throw invalidOption(of, 'onStalled', 'must be a function')
  requireMs(of, 'stalledAfterMs', stalledAfterMs)
  requireMs(of, 'stuckAfterMs', stuckAfterMs)
  requireTimer(of, 'timeoutMs', settings.timeoutMs)
  const stillnessIn = stillnessOf(relay, clock, stalledAfterMs)
  let wellAt = clock.monotonic()
  /** of the last call of `onStalled` */
  let complaints: readonly string[] = []
  /** why the last check could not read the backlog, an outage aside */
  let unread: string | undefined

  /** Never rejects. */
  const tell = async (stall: Stall): Promise<void> => {
    complaints = []
    try {
      await onStalled(stall)
    } catch (error) {
      complaints = ['onStalled has failed.']
      process.emitWarning(error instanceof Error ? error : new Error('onStalled has failed.', { cause: error }))
    }
  }

  const check = async (call?: CallOptions): Promise<RelayHealth> => {
    const backlog = await backlogOf(settings, call?.signal)
    const now = clock.monotonic()
    const stats = relay.stats()
    const trouble = backlog.trouble ?? troubleIn(stats)
    if (stats.mayPublish || stats.state !== 'running' || (trouble && !backlog.isBug)) wellAt = now
    const stuckForMs = now - wellAt >= stuckAfterMs ? now - wellAt : undefined
    unread = backlog.trouble === databaseAway ? undefined : backlog.trouble
    const stillness = unread ? unseen : stillnessIn(backlog.partitions ?? [], stats.heldElsewhere)
    const { health, stall } = judged({ stats, trouble, stuckForMs, stillness })
    if (stillness.isNews) void tell(stall)
    return health.isStalled ? { ...health, reasons: [...health.reasons, ...complaints] } : health
  }

  return {
    check,
    async watch(given) {
      const { everyMs = 10_000, signal } = knownOptions('watch', given, { everyMs: true, signal: true })
      requireTimer('watch', 'everyMs', everyMs)
      let told: string | undefined
      while (!signal.aborted) {
        await check({ signal }).catch((error: unknown) => {
          if (!signal.aborted) throw error
        })
        if (unread && !told) process.emitWarning(unread)
        told = unread
        await pause(clock, everyMs, signal)
      }
    },
  }
}

/** What a check has found. */
interface Findings {
  readonly stats: RelayStats
  /** with the database, or in reading the backlog */
  readonly trouble: string | undefined
  /** for how long it has had no lease though the database is not known to be away; undefined: not too long */
  readonly stuckForMs: number | undefined
  readonly stillness: Stillness
}

function judged({ stats, trouble, stuckForMs, stillness }: Findings): {
  readonly health: RelayHealth
  readonly stall: Stall
} {
  const { stalled, stillForMs, oldestPendingAgeMs } = stillness
  const partitions = stalled.map(({ partition }) => partition)
  const blocked = stalled.filter(({ dead }) => dead > 0).map(({ partition }) => partition)
  const outages = [
    ...(stats.state !== 'running' ? [`The relay is ${stats.state}.`] : []),
    ...(trouble ? [trouble] : []),
    ...stats.destinationsDown.map((name) => `'${name}' is away.`),
    ...(stuckForMs !== undefined
      ? [`The relay has held no lease for ${seconds(stuckForMs)}, though the database is not known to be away.`]
      : []),
  ]
  const reasons = [
    ...outages,
    ...(partitions.length > 0
      ? [
          `Nothing has left partition ${partitions} for ${seconds(stillForMs)}; the oldest entry is ${seconds(oldestPendingAgeMs)} old.`,
        ]
      : []),
    ...(blocked.length > 0 ? [`Dead letters may hold up partition ${blocked}.`] : []),
  ]
  return {
    health: {
      isLive: stats.state !== 'stopped' && stuckForMs === undefined,
      isReady: outages.length === 0 && blocked.length === partitions.length,
      isStalled: partitions.length > 0,
      reasons,
    },
    stall: { partitions, stillForMs, oldestPendingAgeMs, reasons },
  }
}

function troubleIn({ isStoreDown, isStoreRefusing }: RelayStats): string | undefined {
  if (isStoreDown) return databaseAway
  return isStoreRefusing ? 'The database refuses what the relay asks.' : undefined
}

const never = new AbortController().signal

const databaseAway = 'The database is away.'

/** What a check sees of partitions whose backlog it could not read. */
const unseen: Stillness = { stalled: [], stillForMs: 0, oldestPendingAgeMs: 0, isNews: false }

interface Backlog {
  readonly partitions?: readonly PartitionStats[]
  /** why it could not be read */
  readonly trouble?: string
  /** that says nothing of the database */
  readonly isBug?: boolean
}

async function backlogOf(
  { store, timeoutMs, clock }: Pick<HealthOptions, 'store'> & Pick<typeof defaults, 'timeoutMs' | 'clock'>,
  abort: AbortSignal = never,
): Promise<Backlog> {
  if (!store) return {}
  try {
    const { partitions } = await within(clock, { system: 'store', timeoutMs, abort }, (signal) =>
      store.stats({ signal }),
    )
    return { partitions: [...partitions] } // a store of somebody's own may give none
  } catch (error) {
    if (abort.aborted) throw error
    const isBug = !OutboxError.is(error)
    if (!isBug && error.isRetryable) return { trouble: databaseAway }
    return { trouble: `The backlog cannot be read: ${isBug ? nameOf(error) : error.message}`, isBug }
  }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`
}
