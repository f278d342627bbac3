import { type DueEntry, type Lease, OutboxError, type Settlement } from '@outbox/core'
import { whoIsAway } from './away.ts'
import { Bell } from './bell.ts'
import { Caution, type Turn } from './caution.ts'
import type { RelayContext } from './context.ts'
import type { Counters } from './counters.ts'
import { decide } from './decide.ts'
import type { Destinations } from './destinations.ts'
import type { Leases } from './leases.ts'
import { retryFrom } from './options.ts'
import { maxTimerMs, pause } from './pause.ts'
import { type Attempt, Publishing, rejectedForCrashes } from './publishing.ts'
import { type RetryRules, wakeAt } from './retry.ts'
import { Setbacks } from './setbacks.ts'
import { isRetryable, type StoreCalls } from './store-calls.ts'
import type { Turns } from './turns.ts'

/** A lane that waits for longer leases asks this many times per poll interval. */
const waitsPerPoll = 20
/** What a dead relay had in hand goes out in batches that are smaller by this: who dies once more dies with few. */
const waryDivisor = 10

/** What all lanes of a relay share. */
export interface LaneContext extends RelayContext {
  readonly calls: StoreCalls
  readonly leases: Leases
  readonly destinations: Destinations
  readonly counters: Counters
  readonly turns: Turns
  /** asks for a poll now: the leases may have changed */
  readonly pollSoon: () => void
}

/** `busy`: there may be more. `empty`: nothing is due. `paused`: what is due cannot leave now. */
type CycleResult = 'busy' | 'empty' | 'paused'

/** An attempt, and what the store is told of it: nothing, where the entry stays as it was. */
interface Verdict extends Attempt {
  readonly settlement: Settlement | undefined
}

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
  readonly #setbacks: Setbacks
  readonly #caution: Caution
  /** somebody renews the leases meanwhile */
  #isRunning = false
  /** when aggregates that this lane made to wait are due again, on our clock */
  readonly #dueAgain = new Set<number>()
  /** after a failure of the store: until then no wake-up counts, or the same batch would go out with each of them */
  #notBefore = -Infinity

  constructor(index: number, context: LaneContext) {
    this.#index = index
    this.#context = context
    this.#publishing = new Publishing(context)
    this.#bell = new Bell(context.settings.clock)
    this.#setbacks = new Setbacks(context, 'a batch')
    this.#caution = new Caution(context)
  }

  readonly owns = (partition: number): boolean => partition % this.#context.settings.lanes === this.#index

  wake(): void {
    this.#bell.ring()
  }

  stop(): void {
    this.#bell.end()
  }

  /** Works until `stop`; resolves when the batch in hand is settled. `abort` ends a publish or settle that still waits. */
  async run(abort: AbortSignal): Promise<void> {
    this.#isRunning = true
    await this.#bell.answer(async () => {
      if ((await this.#cycle(abort)) === 'busy') this.#bell.ring()
      this.#ringWhenDueAgain()
    })
  }

  /** Works until nothing is due, or what is due cannot leave. */
  async drain(abort: AbortSignal): Promise<void> {
    while (!this.#bell.isOver && !abort.aborted && (await this.#cycle(abort)) === 'busy');
    this.#bell.quiet()
  }

  async #cycle(abort: AbortSignal): Promise<CycleResult> {
    const { leases, destinations, settings } = this.#context
    if (destinations.areAllAway) return 'paused' // the first that comes back wakes the lanes
    const waitMs = this.#notBefore - settings.clock.monotonic()
    if (waitMs > 0) {
      this.#bell.ringIn(waitMs)
      return 'paused'
    }
    if (!leases.held.some(this.owns)) return 'paused' // a poll that brings leases wakes the lanes
    const turn = await this.#caution.takeTurn()
    const borrowed = this.#bell.isOver ? [] : leases.borrow(this.owns)
    try {
      if (borrowed.length === 0) return 'paused'
      const entries = await this.#fetch(borrowed, turn)
      const isAllowed = this.#caution.admit(entries, turn)
      const cycle = isAllowed ? await this.#work(entries, borrowed, abort) : await this.#putBack(borrowed)
      this.#setbacks.end()
      return cycle
    } catch (error) {
      const delayMs = this.#setbacks.after(error)
      this.#notBefore = settings.clock.monotonic() + delayMs
      this.#bell.ringIn(delayMs)
      return 'paused'
    } finally {
      leases.giveBack(borrowed)
      turn.end()
    }
  }

  async #fetch(leases: readonly Lease[], { isWary }: Turn): Promise<readonly DueEntry[]> {
    const { batchSize, batchSizePerAggregate, batchBytes } = this.#context.settings
    const limit = isWary ? Math.ceil(batchSize / waryDivisor) : batchSize
    return this.#context.calls.ask((store, signal) =>
      store.fetch({
        leases,
        limit,
        limitPerAggregate: Math.min(batchSizePerAggregate, limit),
        maxBytes: batchBytes,
        signal,
      }),
    )
  }

  async #putBack(borrowed: readonly Lease[]): Promise<CycleResult> {
    this.#context.leases.drop(await this.#settle(borrowed, []))
    return 'busy'
  }

  async #work(entries: readonly DueEntry[], borrowed: readonly Lease[], abort: AbortSignal): Promise<CycleResult> {
    if (entries.length === 0) return 'empty'
    const verdicts = await this.#judge(await this.#attempt(entries, borrowed, abort), abort)
    const leases = borrowed.filter(({ partition }) => entries.some(({ lease }) => lease.partition === partition))
    const lost = await this.#settleUntilHeard(
      leases,
      verdicts.flatMap(({ settlement }) => settlement ?? []),
      abort,
    )
    if (!lost) return 'paused'
    this.#tell(verdicts, lost)
    return verdicts.some(({ settlement }) => settlement) ? 'busy' : 'paused'
  }

  async #attempt(
    entries: readonly DueEntry[],
    borrowed: readonly Lease[],
    abort: AbortSignal,
  ): Promise<readonly Attempt[]> {
    const { leases, settings, pollSoon } = this.#context
    const crashed = entries.find(({ crashes }) => crashes >= settings.maxCrashes)
    if (crashed) return [rejectedForCrashes(crashed)] // it is lent alone
    await this.#untilMayPublish(borrowed, abort)
    const mayStart = (): boolean => leases.mayPublish() && leases.stillHolds(borrowed)
    const attempts = await this.#publishing.publish(entries, mayStart, abort)
    for (const { entry, outcome, breaker } of attempts) {
      if (outcome.status === 'published') breaker?.noteSuccess()
      if (outcome.status === 'unknown') leases.markUnresolved(entry.lease)
      if (outcome.status !== 'fenced') continue
      leases.fenced(entry.lease, outcome.epoch)
      pollSoon()
    }
    return attempts
  }

  /**
   * Waits for the poll that lengthens the leases, if they have become too short for a publish while the batch was fetched:
   * a slow database would have to lend it again and again.
   */
  async #untilMayPublish(borrowed: readonly Lease[], abort: AbortSignal): Promise<void> {
    const {
      leases,
      settings: { clock, pollIntervalMs },
    } = this.#context
    // as long as they last now: polls that are all too slow must not keep the partitions here for ever
    const giveUpAt = clock.monotonic() + leases.remainingMs
    const mayWait = (): boolean =>
      this.#isRunning && !this.#bell.isOver && clock.monotonic() < giveUpAt && leases.stillHolds(borrowed)
    while (!leases.mayPublish() && mayWait() && !abort.aborted) {
      await pause(clock, pollIntervalMs / waitsPerPoll, abort)
    }
  }

  async #judge(attempts: readonly Attempt[], abort: AbortSignal): Promise<readonly Verdict[]> {
    const { settings, destinations } = this.#context
    const away = await whoIsAway(attempts, abort)
    return attempts.map((attempt) => {
      const { entry, outcome, breaker, isTried, isBehindFailure } = attempt
      const awayForMs = breaker && (!isTried || away.has(breaker)) ? breaker.nextProbeInMs : undefined
      const mustMakeRoom = destinations.all.length > 1
      const retry = outcome.status === 'published' ? settings.retry : this.#retryFor(entry)
      const context = { settings, retry, awayForMs, mustMakeRoom, isBehindFailure }
      return { ...attempt, settlement: decide(entry, outcome, context) }
    })
  }

  /** If the user's own function fails, that is an `error` event, and `retry` applies. */
  #retryFor(entry: DueEntry): RetryRules {
    const { events, settings } = this.#context
    try {
      const given = settings.retryFor?.(entry)
      // a promise is refused here, and its rejection comes later
      Promise.resolve(given).catch((error: unknown) => events.report(error, 'retryFor'))
      return given ? retryFrom(settings.retry, given) : settings.retry
    } catch (error) {
      events.report(error, 'retryFor')
      return settings.retry
    }
  }

  async #settle(leases: readonly Lease[], settlements: readonly Settlement[]): Promise<readonly Lease[]> {
    const { lost } = await this.#context.calls.ask((store, signal) => store.settle({ leases, settlements, signal }))
    return lost
  }

  /**
   * Says it until the store has heard: giving up would publish the batch again.
   *
   * @returns the leases that are gone; undefined when it was not heard, because all are, or the relay must end
   */
  async #settleUntilHeard(
    leases: readonly Lease[],
    settlements: readonly Settlement[],
    abort: AbortSignal,
  ): Promise<readonly Lease[] | undefined> {
    const setbacks = new Setbacks(this.#context, 'a settle')
    for (;;) {
      try {
        return await this.#settle(leases, settlements)
      } catch (error) {
        if (!isRetryable(error)) throw error
        if (abort.aborted || !this.#context.leases.stillHolds(leases)) return undefined
        await pause(this.#context.settings.clock, setbacks.after(error), abort)
      }
    }
  }

  /** What the store has heard becomes events; what came too late is told apart. */
  #tell(verdicts: readonly Verdict[], lost: readonly Lease[]): void {
    const { events, counters, leases } = this.#context
    leases.drop(lost)
    const said = verdicts.filter(({ settlement }) => settlement)
    const isLost = ({ entry }: Verdict): boolean => lost.some(({ partition }) => partition === entry.lease.partition)
    const refused = said.filter(isLost)
    if (refused.length > 0) {
      counters.settlesRefused += refused.length
      events.emit('settleRefused', { entries: refused.map(({ entry }) => entry) })
    }
    const heard = said.filter((verdict) => !isLost(verdict))
    const published = heard.filter(({ outcome }) => outcome.status === 'published')
    if (published.length > 0) {
      counters.published += published.length
      counters.duplicates += published.filter(({ outcome }) => 'duplicate' in outcome && outcome.duplicate).length
      events.emit('published', { entries: published.map(({ entry }) => entry) })
    }
    for (const { entry, settlement } of heard) {
      if (entry.isLate && settlement?.outcome !== 'retry') events.emit('lateSequence', { entry })
    }
    for (const verdict of heard) this.#tellFailure(verdict)
  }

  #tellFailure({ entry, outcome, settlement }: Verdict): void {
    const { events, counters, settings } = this.#context
    const error = 'error' in outcome ? outcome.error : undefined
    if (OutboxError.is(error, 'callback-failed')) events.report(error, error.details.callback)
    if (settlement?.outcome === 'retry') {
      const { retryInMs, isRefusal } = settlement
      counters.retried += 1
      if (this.#isRunning) this.#dueAgain.add(wakeAt(settings.clock.monotonic(), retryInMs))
      events.emit('retry', { entry, error, retryInMs, isRefusal })
    }
    if (settlement?.outcome === 'dead') {
      counters.dead += 1
      events.emit('dead', { entry, reason: settlement.reason, error })
    }
  }

  #ringWhenDueAgain(): void {
    const now = this.#context.settings.clock.monotonic()
    let next = Infinity
    for (const at of this.#dueAgain) {
      if (at <= now) this.#dueAgain.delete(at)
      else next = Math.min(next, at)
    }
    if (next < Infinity) this.#bell.ringIn(Math.min(next - now, maxTimerMs)) // rounding may lead past what a timer takes
  }
}
