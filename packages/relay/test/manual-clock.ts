import type { Clock } from '@outbox/core'

/** A clock that stands still until a test turns it. Timers run in order, each after everything before it has settled. */
export class ManualClock implements Clock {
  #now = 0
  #next = 0
  readonly #timers = new Map<number, { readonly at: number; readonly callback: () => void }>()

  monotonic(): number {
    return this.#now
  }

  schedule(callback: () => void, delayMs: number): () => void {
    const id = this.#next++
    this.#timers.set(id, { at: this.#now + Math.max(0, delayMs), callback })
    return () => void this.#timers.delete(id)
  }

  /** timers that are set and not yet run: 0 when nothing is left behind */
  get pending(): number {
    return this.#timers.size
  }

  /** Turns the clock by `ms`, running every timer on the way, also those that are set on the way. */
  async advance(ms: number): Promise<void> {
    const target = this.#now + ms
    while (await this.#runNext(target));
    this.#now = target
    await settled()
  }

  /** Turns the clock from timer to timer until `condition` holds. @throws when it does not within `limitMs` */
  async advanceUntil(condition: () => boolean, limitMs = 120_000): Promise<void> {
    const limit = this.#now + limitMs
    await settled()
    while (!condition()) {
      if (!(await this.#runNext(limit))) throw new Error(`The condition did not come true within ${limitMs} ms.`)
      await settled()
    }
  }

  /** Turns the clock until `promise` settles, and gives its result. @throws when it does not within `limitMs` */
  async advanceUntilSettled<T>(promise: Promise<T>, limitMs = 120_000): Promise<T> {
    let isSettled = false
    const settles = promise.then(
      () => undefined,
      () => undefined,
    )
    void settles.then(() => {
      isSettled = true
    })
    await this.advanceUntil(() => isSettled, limitMs)
    return promise
  }

  /** @returns whether there was a timer to run */
  async #runNext(limit: number): Promise<boolean> {
    await settled()
    let next: { readonly id: number; readonly at: number; readonly callback: () => void } | undefined
    for (const [id, timer] of this.#timers) if (!next || timer.at < next.at) next = { id, ...timer }
    if (!next || next.at > limit) return false
    this.#timers.delete(next.id)
    this.#now = Math.max(this.#now, next.at)
    next.callback()
    return true
  }
}

/** Lets every promise that can settle without a timer do so. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
}
