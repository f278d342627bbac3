import {
  type CallOptions,
  type Clock,
  OutboxError,
  type PartitionStats,
  type StoreStats,
  systemClock,
} from '@outbox/core'
import { invalidOption, knownOptions, requireMs } from '@outbox/core/adapter'
import { pause } from './pause.ts'
import { nameOf } from './reason.ts'
import type { Relay } from './relay.ts'
import { stillnessOf } from './stillness.ts'
import { within } from './time.ts'

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
  /** asked for its backlog at each check; without it nothing is ever called stalled */
  readonly store?: { stats(options?: CallOptions): Promise<Pick<StoreStats, 'partitions'>> }
  /** how old a partition's oldest pending entry may be while nothing leaves the partition, default 60,000 ms */
  readonly stalledAfterMs?: number
  /**
   * Called by the check that finds a stall, once until no partition stands still, however many join it meanwhile. A
   * partition with dead letters is told apart, once until it has caught up. It may be asynchronous: nothing waits for
   * it. What it throws or rejects with is a process warning, and checks say so among their reasons, from the next one
   * on if it was asynchronous, while anything stands still.
   */
  readonly onStalled?: (stall: Stall) => unknown
  /** how long the relay may go without its leases though the database answers, default 60,000 ms */
  readonly stuckAfterMs?: number
  /**
   * A store that has not answered after so long is away, default 3,000 ms: less than a platform waits for a probe.
   * At most 2,147,483,647, as a timer takes no more: what is longer is as good as 1 ms.
   */
  readonly timeoutMs?: number
  /** for tests and simulations */
  readonly clock?: Clock
}

export interface HealthCheck {
  /**
   * Looks now, and answers within `timeoutMs`. Rejects only with the reason of a `signal` that aborts: a store that is
   * away, or refuses to answer, is an answer.
   */
  check(options?: CallOptions): Promise<RelayHealth>
  /** Checks every `everyMs` (default 10,000) for `onStalled`, and resolves when `signal` aborts. */
  watch(options: { readonly everyMs?: number; readonly signal: AbortSignal }): Promise<void>
}

const of = 'relayHealth'
const defaults = { stalledAfterMs: 60_000, stuckAfterMs: 60_000, timeoutMs: 3_000, clock: systemClock }

/**
 * Watches a relay that was started, for as long as that lives: each check compares what it finds with the checks before.
 *
 * A relay answers for the partitions that no other relay holds: its own, and those that nobody takes. One of them is
 * stalled when its oldest pending entry is older than `stalledAfterMs`, and for as long no entry of it was published
 * here or became a dead letter. That time begins with the first check that finds something pending, anew when a dead
 * letter is requeued or discarded, and after an outage of the database. Pending is also what waits for another try, or
 * behind a dead letter.
 *
 * It has no timer of its own but that of `watch`: check a few times per `stalledAfterMs` at least. An outage of
 * database or broker leaves the relay live, since it goes on by itself.
 *
 * @throws {OutboxError} `invalid-option`, naming the option
 */
export function relayHealth(options: HealthOptions): HealthCheck {
  const given = knownOptions(of, options, { ...defaults, relay: 0, store: 0, onStalled: 0 })
  const settings = { ...defaults, ...given }
  const { relay, stalledAfterMs, stuckAfterMs, onStalled, clock } = settings
  if (!relay) throw invalidOption(of, 'relay', 'is missing')
  requireMs(of, 'stalledAfterMs', stalledAfterMs)
  requireMs(of, 'stuckAfterMs', stuckAfterMs)
  requireMs(of, 'timeoutMs', settings.timeoutMs)
  const lookAt = stillnessOf(relay, clock, stalledAfterMs)
  let wellAt = clock.monotonic()
  /** of the last call of `onStalled` */
  let complaints: readonly string[] = []

  /** Never rejects. */
  const tell = async (stall: Stall): Promise<void> => {
    complaints = []
    try {
      await onStalled?.(stall)
    } catch (error) {
      complaints = ['onStalled has failed.']
      process.emitWarning(error instanceof Error ? error : new Error('onStalled has failed.', { cause: error }))
    }
  }

  const check = async (call?: CallOptions): Promise<RelayHealth> => {
    const backlog = await backlogOf(settings, call?.signal)
    const now = clock.monotonic()
    const stats = relay.stats()
    const trouble = typeof backlog === 'string' ? backlog : stats.isStoreDown && isAway
    if (stats.mayPublish || trouble) wellAt = now
    const isStuck = now - wellAt >= stuckAfterMs
    const { stalled, isNews, ...ages } = lookAt(typeof backlog === 'string' ? [] : backlog, stats.heldElsewhere)
    const partitions = stalled.map(({ partition }) => partition)
    const blocked = stalled.filter(({ dead }) => dead > 0).map(({ partition }) => partition)
    const outages = [
      ...(stats.state !== 'running' ? [`The relay is ${stats.state}.`] : []),
      ...(trouble ? [trouble] : []),
      ...stats.destinationsDown.map((name) => `'${name}' is away.`),
      ...(isStuck ? [`The relay has held no lease for ${seconds(now - wellAt)}, though the database answers.`] : []),
    ]
    const reasons = [
      ...outages,
      ...(partitions.length > 0
        ? [
            `Nothing has left partition ${partitions} for ${seconds(ages.stillForMs)}; the oldest entry is ${seconds(ages.oldestPendingAgeMs)} old.`,
          ]
        : []),
      ...(blocked.length > 0 ? [`Dead letters may hold up partition ${blocked}.`] : []),
    ]
    if (isNews) void tell({ partitions, ...ages, reasons })
    return {
      isLive: stats.state !== 'stopped' && !isStuck,
      isReady: outages.length === 0 && blocked.length === partitions.length,
      isStalled: partitions.length > 0,
      reasons: partitions.length > 0 ? [...reasons, ...complaints] : reasons,
    }
  }

  return {
    check,
    async watch({ everyMs = 10_000, signal }) {
      while (!signal.aborted) {
        await check({ signal }).catch((error: unknown) => {
          if (!signal.aborted) throw error
        })
        await pause(clock, everyMs, signal)
      }
    },
  }
}

const never = new AbortController().signal

const isAway = 'The database is away.'

/** @returns what each partition has; a text: why that could not be read */
async function backlogOf(
  { store, timeoutMs, clock }: Pick<HealthOptions, 'store'> & typeof defaults,
  abort: AbortSignal = never,
): Promise<readonly PartitionStats[] | string> {
  if (!store) return []
  try {
    const { partitions } = await within(clock, { system: 'store', timeoutMs, abort }, (signal) =>
      store.stats({ signal }),
    )
    return [...partitions] // a store of somebody's own may give none
  } catch (error) {
    if (abort.aborted) throw error
    if (!OutboxError.is(error)) return `The backlog cannot be read: ${nameOf(error)}`
    return error.isRetryable ? isAway : `The backlog cannot be read: ${error.message}`
  }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`
}
