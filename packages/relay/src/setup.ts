import { OutboxError } from '@outbox/core'
import type { Breaker } from './breaker.ts'
import type { Emitter } from './events.ts'
import type { RelaySettings } from './options.ts'
import { retryHorizonMs } from './retry.ts'
import type { StoreCalls } from './store-calls.ts'
import { within } from './time.ts'

/** The checks of store and destinations: each is made until it has passed once. */
export class SetupChecks {
  readonly #calls: StoreCalls
  readonly #settings: RelaySettings
  readonly #events: Emitter
  readonly #abort: AbortSignal
  readonly #unchecked: Set<Breaker>
  #isStoreChecked = false

  /** @param context.abort - the relay ends: no check is waited for */
  constructor(
    calls: StoreCalls,
    destinations: readonly Breaker[],
    context: { readonly settings: RelaySettings; readonly events: Emitter; readonly abort: AbortSignal },
  ) {
    this.#calls = calls
    this.#settings = context.settings
    this.#events = context.events
    this.#abort = context.abort
    this.#unchecked = new Set(destinations)
  }

  /**
   * Makes the checks that have not passed yet. A destination that is away stays unchecked behind its open breaker.
   *
   * @throws {OutboxError} `setup-required` · `unavailable` when the store is away
   */
  async run(): Promise<void> {
    await this.checkStore()
    await this.checkDestinations()
  }

  async checkStore(): Promise<void> {
    if (this.#isStoreChecked) return
    await this.#calls.check()
    this.#isStoreChecked = true
  }

  async checkDestinations(): Promise<void> {
    await Promise.all([...this.#unchecked].map((breaker) => this.#check(breaker)))
  }

  async #check(breaker: Breaker): Promise<void> {
    if (breaker.isOpen) return
    const { publisher } = breaker
    const { clock, publishTimeoutMs, leaseMs, retry } = this.#settings
    const horizonMs = retryHorizonMs(retry) + leaseMs + publishTimeoutMs
    const limit = { timeoutMs: publishTimeoutMs, system: publisher.name, abort: this.#abort }
    try {
      const warnings = await within(clock, limit, async (signal) =>
        publisher.check?.({ retryHorizonMs: horizonMs, signal }),
      )
      for (const message of warnings ?? []) this.#events.emit('warning', { message })
      this.#unchecked.delete(breaker)
    } catch (error) {
      if (this.#abort.aborted || !OutboxError.is(error, 'unavailable')) throw error
      await breaker.isAway(error, true)
    }
  }
}
