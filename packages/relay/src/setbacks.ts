import { OutboxError } from '@outbox/core'
import type { RelayContext } from './context.ts'
import { backoffMs } from './retry.ts'

/** A conflict passes by itself. After so many failures in a row, some five seconds, it does not. */
const failuresPerWarning = 10

/** Failures in a row of one kind of work with the store: how long to wait after each, and what is told of them. */
export class Setbacks {
  readonly #context: RelayContext
  readonly #during: string
  #inARow = 0

  constructor(context: RelayContext, during: string) {
    this.#context = context
    this.#during = during
  }

  /**
   * Tells a defect, and from time to time a conflict that does not pass; `StoreCalls` tells an outage.
   *
   * @returns milliseconds until the next try
   */
  after(error: unknown): number {
    const { settings, events } = this.#context
    this.#inARow += 1
    events.reportDefect(error, this.#during)
    if (this.#inARow % failuresPerWarning === 0 && OutboxError.is(error, 'busy')) {
      const message = `The store is busy at ${this.#during}: ${this.#inARow} failures in a row. Who holds a lock?`
      events.emit('warning', { message })
    }
    // several tries fit in a lease: it outlives a short outage, and the end of a long one is noticed soon
    return backoffMs(
      this.#inARow,
      { minDelayMs: 50, maxDelayMs: Math.min(2_000, settings.leaseMs / 4) },
      settings.random,
    )
  }

  /** It went well: what was before does not count. */
  end(): void {
    if (this.#inARow > 0) this.#context.events.forgetReports(this.#during)
    this.#inARow = 0
  }
}
