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
    this.#timers.set(id, { at: this.#now + delayMs, callback })
    return () => void this.#timers.delete(id)
  }

  get pending(): number {
    return this.#timers.size
  }

  /** Turns the clock by `ms`, running every timer on the way, also those that are set on the way. */
  async advance(ms: number): Promise<void> {
    const target = this.#now + ms
    for (;;) {
      await settled()
      const due = [...this.#timers].filter(([, { at }]) => at <= target).sort(([a, x], [b, y]) => x.at - y.at || a - b)[0]
      if (!due) break
      const [id, { at, callback }] = due
      this.#timers.delete(id)
      this.#now = Math.max(this.#now, at)
      callback()
    }
    this.#now = target
    await settled()
  }

  /** Turns the clock until `condition` holds. @throws when it does not within `limitMs` */
  async advanceUntil(condition: () => boolean, limitMs = 120_000): Promise<void> {
    const limit = this.#now + limitMs
    await settled()
    while (!condition()) {
      if (this.#now >= limit) throw new Error(`The condition did not come true within ${limitMs} ms.`)
      await this.advance(10)
    }
  }
}

/** Lets every promise that can settle without a timer do so. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
}
