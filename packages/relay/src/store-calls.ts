import { type LeasedSource, OutboxError, type OutboxSource, unavailable } from '@outbox/core'
import type { RelayContext } from './context.ts'
import { within } from './within.ts'

/** What the relay uses of a store. */
export type RelayStore = Pick<
  LeasedSource,
  'check' | 'join' | 'poll' | 'acquire' | 'release' | 'fetch' | 'settle' | 'subscribe'
>

/**
 * The relay's way to the store: every call has a time limit, and an outage is told once when it begins and once when
 * it ends.
 */
export class StoreCalls {
  readonly #given: LeasedSource | OutboxSource
  readonly #context: RelayContext
  #store: Promise<RelayStore> | undefined
  #isChecked = false
  #isDown = false
  #isRefusing = false

  constructor(store: LeasedSource | OutboxSource, context: RelayContext) {
    this.#given = store
    this.#context = context
  }

  get isDown(): boolean {
    return this.#isDown
  }

  /** It answered the last call with a refusal that no second try mends. */
  get isRefusing(): boolean {
    return this.#isRefusing
  }

  /** Looks at the set-up, until that has passed once. */
  async check(): Promise<void> {
    if (!this.#isChecked) await this.ask((store, signal) => store.check({ signal }))
    this.#isChecked = true
  }

  /** @throws what the call throws; `unavailable` when there is no answer in time, or no time left */
  async ask<T>(call: (store: RelayStore, signal: AbortSignal) => Promise<T>): Promise<T> {
    const { events, over } = this.#context
    try {
      const answer = await this.inTime(over, call)
      this.#isRefusing = false
      if (this.#isDown) {
        this.#isDown = false
        events.emit('storeUp', {})
      }
      return answer
    } catch (error) {
      this.#isRefusing = OutboxError.is(error) && !error.isRetryable
      if (OutboxError.is(error, 'unavailable') && !this.#isDown && !over.aborted) {
        this.#isDown = true
        events.emit('storeDown', { error })
      }
      throw error
    }
  }

  /** As `ask`, and an outage is told to nobody. */
  inTime<T>(abort: AbortSignal, call: (store: RelayStore, signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, storeTimeoutMs } = this.#context.settings
    const limit = { system: 'store', timeoutMs: storeTimeoutMs, abort }
    return within(clock, limit, async (signal) => call(await this.#open(), signal))
  }

  #open(): Promise<RelayStore> {
    this.#store ??= open(this.#given, this.#context)
    return this.#store
  }
}

export function isLeased(store: LeasedSource | OutboxSource): store is LeasedSource {
  return 'acquire' in store || 'settle' in store || 'poll' in store
}

/** Most stores have leases: what stands in for them is loaded only where it is needed. */
async function open(store: LeasedSource | OutboxSource, context: RelayContext): Promise<RelayStore> {
  if (isLeased(store)) return store
  const { UnleasedStore } = await import('./unleased.ts')
  return new UnleasedStore(store, context)
}

/** What a call ends with that the relay's end cut short: no defect, and no mistake in the set-up. */
export function relayStopped(): OutboxError<'unavailable'> {
  return unavailable('The relay was stopped.', { system: 'relay' })
}

/** An outage, or a conflict that a second try may not meet: to be waited for, not a mistake. */
export function isRetryable(error: unknown): boolean {
  return OutboxError.is(error) && error.isRetryable
}
