import type { Clock } from '@outbox/core'
import type { Timeline } from './timeline.ts'

/**
 * A process, as far as time goes: it can be stopped for a while, as by SIGSTOP, and end for good, as by SIGKILL.
 *
 * Code in it runs only when a timer or an answer of its own comes. Stopped, it gets neither until it goes on; ended, it
 * never does, so whatever it was about to do after an `await` is not done.
 */
export class Machine {
  readonly name: string
  /** what the code in it sees: runs at a rate of its own, from a start of its own, and goes on while it is stopped */
  readonly clock: Clock
  readonly #timeline: Timeline
  readonly #timers = new Set<() => void>()
  #state: 'running' | 'stopped' | 'ended' = 'running'
  /** for how long it has been stopped, counted when it goes on */
  stoppedMs = 0
  /** what came while it was stopped, in the order it came */
  #held: (() => void)[] = []

  constructor(timeline: Timeline, options: { readonly name: string; readonly rate: number; readonly start: number }) {
    this.name = options.name
    this.#timeline = timeline
    this.clock = {
      monotonic: () => options.start + timeline.now * options.rate,
      schedule: (callback, delayMs) => this.#schedule(callback, delayMs / options.rate),
    }
  }

  get hasEnded(): boolean {
    return this.#state === 'ended'
  }

  get isRunning(): boolean {
    return this.#state === 'running'
  }

  /** timers that the code in it has set and not taken back */
  get timersLeft(): number {
    return this.#timers.size
  }

  /** Runs `callback` in the process: now, when it goes on, or never. */
  deliver(callback: () => void): void {
    if (this.#state === 'running') callback()
    else if (this.#state === 'stopped') this.#held.push(callback)
  }

  stop(forMs: number): void {
    if (this.#state !== 'running') return
    this.#state = 'stopped'
    const stoppedAt = this.#timeline.now
    this.#timeline.after(forMs, () => this.#continue(stoppedAt))
  }

  kill(): void {
    this.#state = 'ended'
    this.#held = []
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
  }

  #continue(stoppedAt: number): void {
    if (this.#state !== 'stopped') return
    this.#state = 'running'
    this.stoppedMs += this.#timeline.now - stoppedAt
    const held = this.#held
    this.#held = []
    for (const callback of held) this.#timeline.after(0, () => this.deliver(callback))
  }

  #schedule(callback: () => void, delayMs: number): () => void {
    let isCancelled = false
    const cancel = (): void => {
      isCancelled = true
      cancelTimer()
      this.#timers.delete(cancel)
    }
    const cancelTimer = this.#timeline.after(delayMs, () =>
      this.deliver(() => {
        if (isCancelled) return
        this.#timers.delete(cancel)
        callback()
      }),
    )
    this.#timers.add(cancel)
    return cancel
  }
}
