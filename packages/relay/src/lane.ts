import type { DueEntry, Lease } from '@outbox/core'
import type { Breaker } from './breaker.ts'
import type { Counters } from './counters.ts'
import { crashedTooOften, type Decision, decide } from './decide.ts'
import type { Destinations } from './destinations.ts'
import type { Emitter } from './events.ts'
import type { Leases } from './leases.ts'
import type { RelaySettings } from './options.ts'
import { type Attempt, Publishing } from './publishing.ts'
import { backoffMs } from './retry.ts'
import { isRetryable, type StoreCalls } from './store-calls.ts'
import { Bell, pause } from './time.ts'
import type { Turns } from './turns.ts'

/** After an empty fetch the lane looks again by itself: what woke it may not have been committed yet. */
const secondLooksMs = Object.freeze([5, 20, 80, 320])
/** Retries that are due this close to each other, in milliseconds, share a look. */
const retryGrainMs = 10
const storeDelays = Object.freeze({ minDelayMs: 50, maxDelayMs: 2_000 })

/** What all lanes of a relay share. */
export interface LaneContext {
  readonly calls: StoreCalls
  readonly settings: RelaySettings
  readonly events: Emitter
  readonly leases: Leases
  readonly destinations: Destinations
  readonly counters: Counters
  readonly turns: Turns
  /** asks for a look at the leases now: they may have changed */
  readonly lookSoon: () => void
}

/** `busy`: there may be more. `empty`: nothing is due. `paused`: what is due cannot leave now. */
type Cycle = 'busy' | 'empty' | 'paused'

/**
 * Fetches, publishes and settles the entries of its own partitions, one batch after the other.
 *
 * Lanes have disjoint partitions, so no aggregate is ever in two batches at once; several lanes keep the database and
 * the broker busy at the same time.
 */
export class Lane {
  readonly #index: number
  readonly #context: LaneContext
  readonly #publishing: Publishing
  readonly #bell: Bell
  /** when aggregates that this lane made to wait are due again, on our clock */
  readonly #dueAgain = new Set<number>()
  /** the last fetch brought an entry that a relay may have died of: the next batch is worked on alone */
  #mustBeAlone = false
  #isStopping = false
  #storeFailures = 0
  /** after a failure of the store: until then no wake-up counts, or the same batch would go out with each of them */
  #notBefore = Number.NEGATIVE_INFINITY

  constructor(index: number, context: LaneContext) {
    this.#index = index
    this.#context = context
    this.#publishing = new Publishing(context.destinations, context.settings, context.events)
    this.#bell = new Bell(context.settings.clock)
  }

  owns = (partition: number): boolean => partition % this.#context.settings.lanes === this.#index

  wake(): void {
    this.#bell.ring()
  }

  stop(): void {
    this.#isStopping = true
    this.#bell.ring()
  }

  /** Works until `stop`; resolves when the batch in hand is settled. `abort` ends a publish or settle that still waits. */
  async run(abort: AbortSignal): Promise<void> {
    let looks = 0
    while (!this.#isStopping) {
      await this.#bell.wait()
      if (this.#isStopping) break
      const cycle = await this.#cycle(abort)
      if (cycle === 'empty') {
        const delay = secondLooksMs[looks]
        looks = delay === undefined ? 0 : looks + 1
        if (delay !== undefined) this.#bell.ringIn(delay)
      } else {
        looks = 0
        if (cycle === 'busy') this.#bell.ring()
      }
      this.#ringWhenDueAgain()
    }
    this.#bell.quiet()
  }

  /** Works until nothing is due, or what is due cannot leave. */
  async drain(abort: AbortSignal): Promise<void> {
    while (!this.#isStopping && !abort.aborted) {
      if ((await this.#cycle(abort)) !== 'busy') break
    }
    this.#bell.quiet()
  }

  async #cycle(abort: AbortSignal): Promise<Cycle> {
    const { leases, destinations } = this.#context
    if (destinations.areAllAway) return 'paused' // the first that comes back wakes the lanes
    const waitMs = this.#notBefore - this.#context.settings.clock.monotonic()
    if (waitMs > 0) {
      this.#bell.ringIn(waitMs)
      return 'paused'
    }
    const isAlone = this.#mustBeAlone
    const endTurn = await this.#context.turns.take(isAlone)
    const borrowed = this.#isStopping ? [] : leases.borrow(this.owns)
    try {
      if (borrowed.length === 0) return 'paused' // a look that brings leases wakes the lanes
      const entries = await this.#fetch(borrowed)
      const cycle = entries.length === 0 ? 'empty' : await this.#inTurn(entries, borrowed, isAlone, abort)
      this.#storeFailures = 0
      return cycle
    } catch (error) {
      const { clock, random } = this.#context.settings
      const delayMs = backoffMs(++this.#storeFailures, storeDelays, random)
      this.#notBefore = clock.monotonic() + delayMs
      this.#bell.ringIn(delayMs)
      if (!isRetryable(error)) this.#context.events.emit('error', { error, during: 'a batch' })
      return 'paused'
    } finally {
      leases.giveBack(borrowed)
      endTurn()
    }
  }

  /**
   * An entry that a relay may have died of is published while no other lane has anything in hand: who dies over it
   * takes nobody along. One that was fetched in company goes back first.
   */
  async #inTurn(
    entries: readonly DueEntry[],
    borrowed: readonly Lease[],
    isAlone: boolean,
    abort: AbortSignal,
  ): Promise<Cycle> {
    this.#mustBeAlone = entries.some(({ crashes }) => crashes > 0)
    if (isAlone || !this.#mustBeAlone) return this.#work(entries, borrowed, abort)
    const { lost } = await this.#context.calls.settle({ leases: borrowed, settlements: [] })
    this.#context.leases.drop(lost)
    return 'busy'
  }

  async #fetch(leases: readonly Lease[]): Promise<readonly DueEntry[]> {
    const { calls, settings } = this.#context
    return calls.fetch({
      leases,
      limit: settings.batchSize,
      limitPerAggregate: Math.min(settings.batchSizePerAggregate, settings.batchSize),
      maxBytes: settings.batchBytes,
    })
  }

  async #work(entries: readonly DueEntry[], borrowed: readonly Lease[], abort: AbortSignal): Promise<Cycle> {
    for (const entry of entries) if (entry.isLate) this.#context.events.emit('lateSequence', { entry })
    const attempts = await this.#attempt(entries, abort)
    const decisions = await this.#decide(entries, attempts)
    this.#heedFences(attempts)
    const touched = new Set(entries.map(({ lease }) => lease.partition))
    const leases = borrowed.filter(({ partition }) => touched.has(partition))
    if (!(await this.#settle(leases, decisions, attempts, abort))) return 'paused'
    return decisions.some(({ settlement }) => settlement !== undefined) ? 'busy' : 'paused'
  }

  /** Publishes, unless the relay died too often over the entry, which is lent alone then. */
  async #attempt(entries: readonly DueEntry[], abort: AbortSignal): Promise<readonly Attempt[]> {
    const { leases, settings } = this.#context
    if (entries.some(({ crashes }) => crashes >= settings.maxCrashes)) return []
    const attempts = await this.#publishing.publish(entries, leases.mayPublish, abort)
    for (const { entry, outcome, breaker } of attempts) {
      if (outcome.status === 'published') breaker?.succeeded()
      if (outcome.status === 'unknown') leases.markUnresolved(entry.lease)
    }
    return attempts
  }

  async #decide(entries: readonly DueEntry[], attempts: readonly Attempt[]): Promise<readonly Decision[]> {
    const { settings, destinations } = this.#context
    const context = { settings, mustMakeRoom: destinations.areSeveral }
    const away = await this.#whoIsAway(attempts)
    const crashed = entries.filter(({ crashes }) => crashes >= settings.maxCrashes)
    return [
      ...crashed.map((entry) => crashedTooOften(entry, { ...context, awayForMs: undefined })),
      ...attempts.map(({ entry, outcome, breaker, isTried }) => {
        const isAway = breaker !== undefined && (!isTried || away.has(breaker))
        return decide(entry, outcome, { ...context, awayForMs: isAway ? breaker.nextProbeInMs : undefined })
      }),
    ]
  }

  /** Asks each destination that failed to answer whether it is away, once. */
  async #whoIsAway(attempts: readonly Attempt[]): Promise<ReadonlySet<Breaker>> {
    const doubtful = new Map<Breaker, { readonly error: unknown; readonly isUnavailable: boolean }>()
    for (const { outcome, breaker, isTried } of attempts) {
      if (!breaker || !isTried || (outcome.status !== 'unavailable' && outcome.status !== 'unknown')) continue
      const isUnavailable = outcome.status === 'unavailable' || doubtful.get(breaker)?.isUnavailable === true
      doubtful.set(breaker, { error: outcome.error, isUnavailable })
    }
    const answers = await Promise.all(
      [...doubtful].map(async ([breaker, { error, isUnavailable }]) =>
        (await breaker.isAway(error, isUnavailable)) ? [breaker] : [],
      ),
    )
    return new Set(answers.flat())
  }

  #heedFences(attempts: readonly Attempt[]): void {
    for (const { entry, outcome } of attempts) {
      if (outcome.status !== 'fenced') continue
      this.#context.leases.fenced(entry.lease, outcome.epoch)
      this.#context.lookSoon()
    }
  }

  /**
   * Says it until the store has heard: giving up would publish the batch again.
   *
   * @returns false when it was not heard, because the leases are gone or the relay must end
   */
  async #settle(
    leases: readonly Lease[],
    decisions: readonly Decision[],
    attempts: readonly Attempt[],
    abort: AbortSignal,
  ): Promise<boolean> {
    const { settings } = this.#context
    const settlements = decisions.flatMap(({ settlement }) => settlement ?? [])
    for (let failures = 1; ; failures++) {
      try {
        const { lost } = await this.#context.calls.settle({ leases, settlements })
        this.#tell(decisions, attempts, lost)
        return true
      } catch (error) {
        if (!isRetryable(error)) throw error
      }
      if (abort.aborted || !this.#context.leases.stillHolds(leases)) return false
      await pause(settings.clock, backoffMs(failures, storeDelays, settings.random), abort)
    }
  }

  /** What the store has heard becomes events; what came too late is told apart. */
  #tell(decisions: readonly Decision[], attempts: readonly Attempt[], lost: readonly Lease[]): void {
    const { events, counters, leases } = this.#context
    const lostPartitions = new Set(lost.map(({ partition }) => partition))
    const isLost = ({ lease }: DueEntry): boolean => lostPartitions.has(lease.partition)
    leases.drop(lost)
    const refused = decisions.flatMap(({ settlement }) =>
      settlement && isLost(settlement.entry) ? settlement.entry : [],
    )
    if (refused.length > 0) {
      counters.settlesRefused += refused.length
      events.emit('settleRefused', { entries: refused })
    }
    const published = attempts.filter(({ entry, outcome }) => outcome.status === 'published' && !isLost(entry))
    if (published.length > 0) {
      counters.published += published.length
      counters.duplicates += published.filter(
        ({ outcome }) => 'duplicate' in outcome && outcome.duplicate === true,
      ).length
      events.emit('published', { entries: published.map(({ entry }) => entry) })
    }
    for (const { settlement, retry, dead } of decisions) {
      if (!settlement || isLost(settlement.entry)) continue
      if (retry) this.#tellRetry(retry)
      if (dead) {
        counters.dead += 1
        events.emit('dead', dead)
      }
    }
  }

  #tellRetry(retry: NonNullable<Decision['retry']>): void {
    const { counters, events, settings } = this.#context
    counters.retried += 1
    const dueAt = settings.clock.monotonic() + retry.retryInMs
    this.#dueAgain.add(Math.ceil(dueAt / retryGrainMs) * retryGrainMs)
    events.emit('retry', retry)
  }

  #ringWhenDueAgain(): void {
    const now = this.#context.settings.clock.monotonic()
    let next = Number.POSITIVE_INFINITY
    for (const at of this.#dueAgain) {
      if (at <= now) this.#dueAgain.delete(at)
      else next = Math.min(next, at)
    }
    if (next < Number.POSITIVE_INFINITY) this.#bell.ringIn(next - now)
  }
}
