import type { Publisher } from '@outbox/core'
import type { RelayContext } from './context.ts'
import { backoffMs } from './retry.ts'
import { within } from './within.ts'

export interface BreakerContext extends RelayContext {
  /** the destination may be published to again */
  readonly onClose: () => void
}

/**
 * Stands before one destination: closed while it answers, open while it is away.
 *
 * Open, nothing is published there and no attempt is counted. It probes, ever less often, and closes when the
 * destination answers; a publisher without a probe is tried again with the next batch instead.
 */
export class Breaker {
  readonly publisher: Publisher
  readonly #context: BreakerContext
  /**
   * outages and probes that failed since the destination last took an entry or answered a probe; above 0 the outage is
   * told. A refusal does not end it: a publisher without a probe may call an outage one.
   */
  #failures = 0
  /** the next probe, set or under way; none when closed or stopped */
  #probing: { readonly at: number; readonly cancel: () => void } | undefined
  #isOpen = false
  #isStopped = false

  constructor(publisher: Publisher, context: BreakerContext) {
    this.publisher = publisher
    this.#context = context
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** An outage is told, and its end is not; it may be tried all the same. */
  get isAway(): boolean {
    return this.#failures > 0
  }

  /**
   * Asks whether a failure was the destination's own, and opens if it was.
   *
   * @param isAwayUnprobed - what to believe of a destination that cannot be probed
   * @returns true when it is away, false when it answers a probe
   *
   * Of what was cut off by `abort` nothing can be said, and nobody is to blame: it is taken for away, and stays closed.
   */
  async openIfAway(
    error: unknown,
    isAwayUnprobed: boolean,
    abort: AbortSignal = this.#context.abort,
  ): Promise<boolean> {
    if (this.#isOpen || abort.aborted) return true
    if (this.publisher.probe ? await this.#answers() : !isAwayUnprobed) return false
    if (abort.aborted) return true
    this.#open(error)
    return true
  }

  /** Asks the destination something other than to publish, with a time limit. @throws what the call throws */
  ask<T>(call: (publisher: Publisher, signal: AbortSignal) => Promise<T> | undefined): Promise<T | undefined> {
    const { settings, abort } = this.#context
    const limit = { system: this.publisher.name, timeoutMs: settings.publishTimeoutMs, abort }
    return within(settings.clock, limit, async (signal) => call(this.publisher, signal))
  }

  /** The destination took something, or passed its check: it is well. */
  noteSuccess(): void {
    if (!this.#isOpen) this.#announceUp()
  }

  /** How long until more is known of an open breaker's destination, milliseconds: a probe under way may hang. */
  get nextProbeInMs(): number {
    const { clock, publishTimeoutMs } = this.#context.settings
    if (!this.#probing) return 0
    const inMs = this.#probing.at - clock.monotonic()
    return inMs > 0 ? inMs : Math.max(1, inMs + publishTimeoutMs)
  }

  /** Ends the probing; the breaker stays as it is, until `resume`, whatever a call that began before comes to. */
  stop(): void {
    this.#isStopped = true
    this.#probing?.cancel()
    this.#probing = undefined
  }

  /** The relay works again after `stop`: the next batch finds out whether the destination is still away. */
  resume(): void {
    this.#isStopped = false
    if (!this.#probing) this.#isOpen = false
  }

  #open(error: unknown): void {
    if (this.#isOpen || this.#isStopped) return
    this.#isOpen = true
    if (this.#failures === 0) this.#context.events.emit('destinationDown', { destination: this.publisher.name, error })
    this.#probeLater()
  }

  #probeLater(): void {
    const { clock, random, leaseMs, publishTimeoutMs } = this.#context.settings
    // an outage's end is noticed within a lease, as a death is, even if the probe before hangs until its time is over
    const maxDelayMs = Math.max(500, Math.min(5_000, leaseMs - publishTimeoutMs))
    const delayMs = backoffMs(++this.#failures, { minDelayMs: 100, maxDelayMs }, random)
    const cancel = clock.schedule(() => void this.#tryAgain(), delayMs)
    this.#probing = { at: clock.monotonic() + delayMs, cancel }
  }

  /** Never rejects: `#answers` turns every failure of a probe into an answer. */
  async #tryAgain(): Promise<void> {
    const own = this.#probing
    const probes = this.publisher.probe !== undefined
    const isBack = !probes || (await this.#answers())
    if (this.#probing !== own) return // stopped meanwhile
    if (!isBack) return this.#probeLater()
    this.#probing = undefined
    this.#isOpen = false
    if (probes) this.#announceUp()
    this.#context.onClose()
  }

  #announceUp(): void {
    if (this.#failures === 0) return
    this.#failures = 0
    this.#context.events.emit('destinationUp', { destination: this.publisher.name })
  }

  async #answers(): Promise<boolean> {
    try {
      await this.ask((publisher, signal) => publisher.probe?.({ signal }))
      return true
    } catch {
      return false // the outage is told by destinationDown; a probe's failure is its answer
    }
  }
}
