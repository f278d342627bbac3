import { type CallOptions, type Clock, OutboxError, type StoreStats, systemClock } from '@outbox/core'
import { progressOf } from './counters.ts'
import type { Relay, RelayStats } from './relay.ts'
import { pause } from './time.ts'

/** How a relay does: for a platform's probes, and for people. */
export interface RelayHealth {
  /** false: it does not go on by itself; start another */
  readonly isLive: boolean
  /** nothing is amiss: what is due leaves */
  readonly isReady: boolean
  /** entries are overdue, and nothing has left for as long */
  readonly isStalled: boolean
  /** what is amiss, one sentence each; holds no payload and no secret */
  readonly reasons: readonly string[]
}

/** Entries are overdue, and nothing leaves. */
export interface Stall {
  /** on the database's clock */
  readonly oldestPendingAgeMs: number
  readonly stillForMs: number
  /** what stands in the way as far as can be seen from here, one sentence each; holds no payload and no secret */
  readonly reasons: readonly string[]
}

export interface HealthOptions {
  readonly relay: Pick<Relay, 'stats'>
  /** asked for its backlog at each check; without it nothing is ever called stalled */
  readonly store?: { stats(options?: CallOptions): Promise<StoreStats> }
  /** how old the oldest pending entry may be while nothing leaves, default 60,000 ms */
  readonly stalledAfterMs?: number
  /** called by the check that finds a stall first, once until something leaves; what it throws rejects the check */
  readonly onStalled?: (stall: Stall) => void
  /** how long the relay may go without its leases though the database answers, default 60,000 ms */
  readonly stuckAfterMs?: number
  /** for tests and simulations */
  readonly clock?: Clock
}

export interface HealthCheck {
  /** Looks now. Rejects only when the store's `stats` finds a defect: an outage is a reason. */
  check(options?: CallOptions): Promise<RelayHealth>
  /** Checks until `signal` aborts, every `everyMs` (default 10,000), for `onStalled`. @throws as `check` does */
  watch(options: { readonly everyMs?: number; readonly signal: AbortSignal }): Promise<void>
}

/**
 * Watches a relay that was started: each check compares what it finds with the checks before.
 *
 * It has no timer of its own but that of `watch`: check a few times per `stalledAfterMs` at least. An outage of
 * database or broker leaves the relay live, since it goes on by itself.
 */
export function relayHealth(options: HealthOptions): HealthCheck {
  const { relay, store, stalledAfterMs = 60_000, stuckAfterMs = 60_000, onStalled, clock = systemClock } = options
  let wellAt = clock.monotonic()
  let movedAt = wellAt
  let moved = -1
  let isStallTold = false

  const check = async (call?: CallOptions): Promise<RelayHealth> => {
    const now = clock.monotonic()
    const stats = relay.stats()
    if (stats.mayPublish || stats.isStoreDown) wellAt = now
    if (progressOf(stats) !== moved) {
      movedAt = now
      isStallTold = false
    }
    moved = progressOf(stats)
    const backlog = await backlogOf(store, call)
    const stillForMs = now - movedAt
    const oldestPendingAgeMs = backlog === 'away' ? 0 : (backlog?.oldestPendingAgeMs ?? 0)
    const isStuck = now - wellAt >= stuckAfterMs
    const isStalled = oldestPendingAgeMs >= stalledAfterMs && stillForMs >= stalledAfterMs
    const amiss = [
      ...(stats.state === 'running' ? [] : [`The relay is ${stats.state}.`]),
      ...(stats.isStoreDown || backlog === 'away' ? ['The database is away.'] : []),
      ...stats.destinationsDown.map((name) => `'${name}' is away.`),
      ...(isStuck ? [`The relay has held no lease for ${seconds(now - wellAt)}, though the database answers.`] : []),
    ]
    const stall = [
      `Nothing has left for ${seconds(stillForMs)}; the oldest pending entry is ${seconds(oldestPendingAgeMs)} old.`,
    ]
    const inTheWay = isStalled ? [...amiss, ...inTheWayOf(backlog, stats)] : amiss
    if (isStalled && !isStallTold) {
      isStallTold = true
      onStalled?.({ oldestPendingAgeMs, stillForMs, reasons: inTheWay })
    }
    return {
      isLive: stats.state !== 'stopped' && !isStuck,
      isReady: amiss.length === 0 && !isStalled,
      isStalled,
      reasons: isStalled ? [...stall, ...inTheWay] : amiss,
    }
  }

  return {
    check,
    async watch({ everyMs = 10_000, signal }) {
      while (!signal.aborted) {
        await check()
        await pause(clock, everyMs, signal)
      }
    },
  }
}

/** What the backlog shows beside outages. */
function inTheWayOf(backlog: StoreStats | 'away' | undefined, { partitions }: RelayStats): readonly string[] {
  if (backlog === undefined || backlog === 'away') return []
  const oldest = backlog.partitions.find(({ oldestPendingAgeMs }) => oldestPendingAgeMs === backlog.oldestPendingAgeMs)
  return [
    ...(partitions === 0 ? ['This relay holds no partition: another one should do the work.'] : []),
    ...(oldest && oldest.dead > 0
      ? [
          `Partition ${oldest.partition}, where the oldest stands, has dead letters: ${oldest.dead}. With onDead: 'block' they hold up their aggregates.`,
        ]
      : []),
  ]
}

async function backlogOf(
  store: HealthOptions['store'],
  options: CallOptions | undefined,
): Promise<StoreStats | 'away' | undefined> {
  try {
    return await store?.stats(options)
  } catch (error) {
    if (OutboxError.is(error) && error.isRetryable) return 'away'
    throw error
  }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`
}
