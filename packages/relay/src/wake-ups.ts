import type { Emitter } from './events.ts'
import type { RelaySettings } from './options.ts'
import { isRetryable, type RelayStore } from './store-calls.ts'
import { within } from './time.ts'

/** What `WakeUps` needs of the relay. */
export interface WakeUpsContext {
  readonly settings: Pick<RelaySettings, 'clock' | 'storeTimeoutMs'>
  readonly events: Emitter
  /** the relay ends: no subscription is waited for */
  readonly abort: AbortSignal
  readonly wake: () => void
}

/**
 * The store's wake-up subscription: begun at start, begun again after an outage, ended with the relay.
 *
 * Nothing depends on it: a store that has none, refuses, or does not answer in time is polled.
 */
export class WakeUps {
  readonly #store: RelayStore
  readonly #context: WakeUpsContext
  #subscription: AsyncDisposable | undefined
  #beginning: Promise<void> | undefined
  #isGivenUp = false

  constructor(store: RelayStore, context: WakeUpsContext) {
    this.#store = store
    this.#context = context
  }

  /** Subscribes unless it has, is about to, or cannot. Never rejects; ends within the store's time limit. */
  begin(): Promise<void> {
    if (this.#subscription || this.#isGivenUp || !this.#store.subscribe) return Promise.resolve()
    this.#beginning ??= this.#subscribe().finally(() => {
      this.#beginning = undefined
    })
    return this.#beginning
  }

  /** Ends the subscription. Never rejects. */
  async end(): Promise<void> {
    this.#isGivenUp = true
    await this.#beginning
    await this.#dispose(this.#subscription)
  }

  async #subscribe(): Promise<void> {
    const { settings, abort, events, wake } = this.#context
    const limit = { timeoutMs: settings.storeTimeoutMs, system: 'store', abort }
    let isTooLate = false
    const subscribe = async (): Promise<void> => {
      const subscription = await this.#store.subscribe?.(wake)
      if (isTooLate) await this.#dispose(subscription)
      else this.#subscription = subscription
    }
    try {
      await within(settings.clock, limit, subscribe)
    } catch (error) {
      isTooLate = true
      if (isRetryable(error)) return // the next look begins again
      this.#isGivenUp = true
      events.emit('error', { error, during: 'subscribing to wake-ups (polling goes on without them)' })
    }
  }

  async #dispose(subscription: AsyncDisposable | undefined): Promise<void> {
    try {
      await subscription?.[Symbol.asyncDispose]()
    } catch (error) {
      this.#context.events.emit('error', { error, during: 'ending the wake-up subscription' })
    }
  }
}
