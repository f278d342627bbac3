import type { RelayContext } from './context.ts'
import type { Destinations } from './destinations.ts'
import type { Leases, Look } from './leases.ts'
import { Setbacks } from './setbacks.ts'
import type { StoreCalls } from './store-calls.ts'
import { Bell } from './time.ts'

/** While there is work, looks come up to this many times as often as at rest. */
const speedUp = 8

export interface WatchContext extends RelayContext {
  readonly calls: StoreCalls
  readonly leases: Leases
  readonly destinations: Destinations
  /** puts a look to use; returns whether there is work to do now */
  readonly onLook: (look: Look) => boolean
}

/**
 * Looks at the leases again and again, at a pace that follows the work: at rest once per `pollIntervalMs`, with a
 * jitter, faster while looks find something, slower while they fail, and once more when a silent relay's time is over.
 * Looks never overlap.
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
    this.#setbacks = new Setbacks(context, 'a look at the leases')
  }

  lookSoon(): void {
    this.#bell.ring()
  }

  /** Resolves after `stop`, when the look in hand has ended. */
  async run(): Promise<void> {
    this.#bell.ring()
    await this.#bell.answer(() => this.#look())
    await this.#checking
  }

  stop(): void {
    this.#bell.end()
  }

  async #look(): Promise<void> {
    const { calls, leases, settings, onLook } = this.#context
    const { pollIntervalMs, random } = settings
    try {
      await calls.check()
      const look = await leases.look()
      this.#setbacks.end()
      this.#checkDestinations()
      const isLively = onLook(look) || !look.isMember
      this.#delayMs = isLively ? pollIntervalMs / speedUp : Math.min(pollIntervalMs, this.#delayMs * 2)
      // in time for a verdict: who died is replaced a lease after its last beat was seen, not at the look after that
      this.#bell.ringIn(Math.min(this.#delayMs * (0.9 + 0.2 * random()), leases.graceMs))
    } catch (error) {
      this.#bell.ringIn(this.#setbacks.after(error))
    }
  }

  /** Beside the looks: a destination that cannot be used, or is slow to say so, keeps the others from nothing. */
  #checkDestinations(): void {
    const { destinations, events } = this.#context
    this.#checking ??= destinations
      .check()
      .catch((error: unknown) => events.defect(error, 'the check of a destination'))
      .finally(() => {
        this.#checking = undefined
      })
  }
}
