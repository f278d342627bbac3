import type { Clock } from '@outbox/core'
import { type Deferred, deferred } from './deferred.ts'

/**
 * A door bell: each `ring` is answered, at once or when the call in hand has ended; rings in between count once.
 * `ringIn` rings later; the earliest of several such rings counts.
 */
export class Bell {
  readonly #clock: Clock
  #isRung = false
  #isOver = false
  #waiter: Deferred<void> | undefined
  #timer: { readonly at: number; readonly cancel: () => void } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  ring(): void {
    this.#isRung = true
    this.#waiter?.resolve()
  }

  ringIn(delayMs: number): void {
    const at = this.#clock.monotonic() + delayMs
    if (this.#timer && this.#timer.at <= at) return
    this.quiet()
    const cancel = this.#clock.schedule(() => {
      this.#timer = undefined
      this.ring()
    }, delayMs)
    this.#timer = { at, cancel }
  }

  /** Answers the bell with `work`, one call at a time, until `end`. Only one may do so at a time. */
  async answer(work: () => Promise<void>): Promise<void> {
    for (;;) {
      if (!this.#isRung) {
        this.#waiter = deferred()
        await this.#waiter.promise
      }
      this.#isRung = false
      if (this.#isOver) break
      await work()
    }
    this.quiet()
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** No ring is answered any more; the call in hand ends by itself. */
  end(): void {
    this.#isOver = true
    this.quiet()
    this.ring()
  }

  /** Takes back what `ringIn` planned. */
  quiet(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
