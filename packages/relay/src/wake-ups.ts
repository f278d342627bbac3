import type { Wake } from '@outbox/core'
import type { RelayContext } from './context.ts'
import { isRetryable, type StoreCalls } from './store-calls.ts'

export interface WakeUpsContext extends RelayContext {
  readonly calls: StoreCalls
  readonly wake: Wake
}

/**
 * The store's wake-up subscription: begun at start, begun again after an outage, ended with the relay.
 *
 * Nothing depends on it: a store that has none, refuses, or does not answer in time is polled.
 */
export class WakeUps {
  readonly #context: WakeUpsContext
  #subscription: AsyncDisposable | undefined
  #beginning: Promise<void> | undefined
  #isGivenUp = false

  constructor(context: WakeUpsContext) {
    this.#context = context
  }

  /** Subscribes unless it has, is about to, or cannot. Never rejects; ends within the store's time limit. */
  async begin(): Promise<void> {
    if (this.#subscription || this.#isGivenUp) return
    this.#beginning ??= this.#subscribe().finally(() => {
      this.#beginning = undefined
    })
    await this.#beginning
  }

  /** Ends the subscription. Never rejects. */
  async end(): Promise<void> {
    this.#isGivenUp = true
    await this.#beginning
    await this.#dispose(this.#subscription)
  }

  async #subscribe(): Promise<void> {
    const { calls, abort, wake, events } = this.#context
    let isTooLate = false
    try {
      await calls.inTime(abort, async (store) => {
        const subscription = await store.subscribe?.(wake)
        if (isTooLate) return this.#dispose(subscription)
        this.#subscription = subscription
        this.#isGivenUp ||= !subscription // a store that has none
      })
    } catch (error) {
      isTooLate = true
      this.#isGivenUp ||= !isRetryable(error) // otherwise the next poll begins again
      events.reportDefect(error, 'subscribing to wake-ups (polling goes on without them)')
    }
  }

  async #dispose(subscription: AsyncDisposable | undefined): Promise<void> {
    try {
      await subscription?.[Symbol.asyncDispose]()
    } catch (error) {
      this.#context.events.reportDefect(error, 'ending the wake-up subscription')
    }
  }
}
