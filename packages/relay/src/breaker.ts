import type { Publisher } from '@outbox/core'
import type { Emitter } from './events.ts'
import type { RelaySettings } from './options.ts'
import { backoffMs } from './retry.ts'
import { within } from './time.ts'

const probeDelays = Object.freeze({ minDelayMs: 100, maxDelayMs: 5_000 })

export interface BreakerContext {
  readonly settings: Pick<RelaySettings, 'clock' | 'random' | 'publishTimeoutMs'>
  readonly events: Emitter
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
  #failures = 0
  #cancel: (() => void) | undefined
  #isOpen = false
  #isAnnounced = false

  constructor(
    publisher: Publisher,
    context: BreakerContext,
  ) {
    this.publisher = publisher
    this.#context = context
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /**
   * Asks whether a failure was the destination's own: true when it is away (the breaker is open then), false when it
   * answers a probe. `unanswered`: what to believe of a destination that cannot be probed.
   */
  async isAway(error: unknown, unanswered: boolean): Promise<boolean> {
    if (this.#isOpen) return true
    if (this.publisher.probe ? await this.#answers() : !unanswered) return false
    this.#open(error)
    return true
  }

  /** The destination took something: it is well. */
  succeeded(): void {
    this.#failures = 0
    if (!this.#isOpen && this.#isAnnounced) this.#announceUp()
  }

  /** Ends the probing; the breaker stays as it is. */
  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  #open(error: unknown): void {
    if (this.#isOpen) return
    this.#isOpen = true
    if (!this.#isAnnounced) {
      this.#isAnnounced = true
      this.#context.events.emit('destinationDown', { destination: this.publisher.name, error })
    }
    this.#probeLater()
  }

  #probeLater(): void {
    this.#failures += 1
    this.#cancel = this.#context.settings.clock.schedule(
      () => void this.#tryAgain(),
      backoffMs(this.#failures, probeDelays, this.#context.settings.random),
    )
  }

  /** Never rejects: `#answers` turns every failure of a probe into an answer. */
  async #tryAgain(): Promise<void> {
    const probes = this.publisher.probe !== undefined
    if (probes && !(await this.#answers())) {
      if (this.#cancel) this.#probeLater()
      return
    }
    if (!this.#cancel) return // stopped meanwhile
    this.#cancel = undefined
    this.#isOpen = false
    if (probes) this.#announceUp()
    this.#context.onClose()
  }

  #announceUp(): void {
    this.#failures = 0
    this.#isAnnounced = false
    this.#context.events.emit('destinationUp', { destination: this.publisher.name })
  }

  async #answers(): Promise<boolean> {
    const { publisher } = this
    try {
      await within(this.#context.settings.clock, { timeoutMs: this.#context.settings.publishTimeoutMs, system: publisher.name }, async (signal) =>
        publisher.probe?.({ signal }),
      )
      return true
    } catch {
      return false // the outage is told by destinationDown; a probe's failure is its answer
    }
  }
}
