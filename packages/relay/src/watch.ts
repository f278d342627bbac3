import { Bell } from './bell.ts'
import type { RelayContext } from './context.ts'
import type { Destinations } from './destinations.ts'
import type { Leases, PollReport } from './leases.ts'
import { Setbacks } from './setbacks.ts'
import type { StoreCalls } from './store-calls.ts'

/** While there is work, polls come up to this many times as often as at rest. */
const speedUp = 8

export interface WatchContext extends RelayContext {
  readonly calls: StoreCalls
  readonly leases: Leases
  readonly destinations: Destinations
  /** puts to use what a poll has told; returns whether there is work to do now */
  readonly onPoll: (report: PollReport) => boolean
}

/**
 * Polls the store again and again, at a pace that follows the work: at rest once per `pollIntervalMs`, with a jitter,
 * faster while polls find something, slower while they fail, and once more when a silent relay's time is over. Polls
 * never overlap.
 */
export class Watch {
  readonly #context: WatchContext
  readonly #bell: Bell
  #checking: Promise<void> | undefined
  #delayMs: number
  readonly #setbacks: Setbacks

  constructor(context: WatchContext) {
    this.#context = context
    this.#bell = new Bell(context.settings.clock)
    this.#delayMs = context.settings.pollIntervalMs
    this.#setbacks = new Setbacks(context, 'a poll of the store')
  }

  pollSoon(): void {
    this.#bell.ring()
  }

  /** Resolves after `stop`, when the poll in hand has ended. */
  async run(): Promise<void> {
    this.#bell.ring()
    await this.#bell.answer(() => this.#poll())
    await this.#checking
  }

  stop(): void {
    this.#bell.end()
  }

  async #poll(): Promise<void> {
    const { calls, leases, settings, onPoll } = this.#context
    const { pollIntervalMs, random } = settings
    try {
      await calls.check()
      const report = await leases.poll()
      const isLively = onPoll(report) || !report.isMember
      this.#checkDestinations()
      if (report.failure) throw report.failure.error
      this.#setbacks.end()
      this.#delayMs = isLively ? pollIntervalMs / speedUp : Math.min(pollIntervalMs, this.#delayMs * 2)
      // in time for a verdict: who died is replaced a lease after its last beat was seen, not at the poll after that
      this.#bell.ringIn(Math.min(this.#delayMs * (0.9 + 0.2 * random()), leases.nextEvictionInMs))
    } catch (error) {
      this.#bell.ringIn(this.#setbacks.after(error))
    }
  }

  /** Beside the polls: a destination that cannot be used, or is slow to say so, keeps the others from nothing. */
  #checkDestinations(): void {
    const { destinations, events } = this.#context
    this.#checking ??= destinations
      .check()
      .catch((error: unknown) => events.reportDefect(error, 'the check of a destination'))
      .finally(() => {
        this.#checking = undefined
      })
  }
}
