import type { Emitter } from './events.ts'
import type { Leases, Look } from './leases.ts'
import type { RelaySettings } from './options.ts'
import { backoffMs } from './retry.ts'
import type { SetupChecks } from './setup.ts'
import { isRetryable } from './store-calls.ts'
import { Bell } from './time.ts'

/** While there is work, looks come up to this many times as often as at rest. */
const speedUp = 8
const failureDelays = Object.freeze({ minDelayMs: 100, maxDelayMs: 2_000 })

/**
 * Looks at the leases again and again, at a pace that follows the work: at rest once per `pollIntervalMs`, with a
 * jitter, faster while looks find something, slower while they fail. Looks never overlap.
 */
export class Watch {
  readonly #leases: Leases
  readonly #setup: SetupChecks
  readonly #settings: RelaySettings
  readonly #events: Emitter
  readonly #onLook: (look: Look) => boolean
  readonly #bell: Bell
  #isOver = false
  #checking: Promise<void> | undefined
  #delayMs: number
  #failures = 0

  /** @param context.onLook - puts a look to use; returns whether there is work to do now */
  constructor(
    leases: Leases,
    setup: SetupChecks,
    context: { readonly settings: RelaySettings; readonly events: Emitter; readonly onLook: (look: Look) => boolean },
  ) {
    this.#leases = leases
    this.#setup = setup
    this.#settings = context.settings
    this.#events = context.events
    this.#onLook = context.onLook
    this.#bell = new Bell(context.settings.clock)
    this.#delayMs = context.settings.pollIntervalMs
  }

  lookSoon(): void {
    this.#bell.ring()
  }

  /** Resolves after `stop`, when the look in hand has ended. */
  async run(): Promise<void> {
    this.#bell.ring()
    for (;;) {
      await this.#bell.wait()
      if (this.#isOver) break
      await this.#look()
    }
    this.#bell.quiet()
    await this.#checking
  }

  stop(): void {
    this.#isOver = true
    this.#bell.ring()
  }

  async #look(): Promise<void> {
    const { pollIntervalMs, random } = this.#settings
    try {
      await this.#setup.checkStore()
      const look = await this.#leases.look()
      this.#failures = 0
      this.#checkDestinations()
      const isLively = this.#onLook(look) || !look.isMember
      this.#delayMs = isLively ? pollIntervalMs / speedUp : Math.min(pollIntervalMs, this.#delayMs * 2)
      this.#bell.ringIn(this.#delayMs * (0.9 + 0.2 * random()))
    } catch (error) {
      if (!isRetryable(error)) this.#events.emit('error', { error, during: 'a look at the leases' })
      this.#failures += 1
      this.#bell.ringIn(backoffMs(this.#failures, failureDelays, random))
    }
  }
  /** Beside the looks: a destination that cannot be used, or is slow to say so, keeps the others from nothing. */
  #checkDestinations(): void {
    this.#checking ??= this.#setup
      .checkDestinations()
      .catch((error: unknown) => this.#events.emit('error', { error, during: 'the check of a destination' }))
      .finally(() => {
        this.#checking = undefined
      })
  }
}
