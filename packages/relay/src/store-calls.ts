import { type LeasedSource, OutboxError } from '@outbox/core'
import type { Emitter } from './events.ts'
import type { RelaySettings } from './options.ts'
import { within } from './time.ts'

/** What the relay uses of a store. */
export type RelayStore = Pick<
  LeasedSource,
  'check' | 'join' | 'poll' | 'acquire' | 'release' | 'fetch' | 'settle' | 'subscribe'
>

type Method = 'check' | 'join' | 'poll' | 'acquire' | 'release' | 'fetch' | 'settle'
type Request<Name extends Method> = Parameters<RelayStore[Name]>[0]
type Answer<Name extends Method> = Awaited<ReturnType<RelayStore[Name]>>

/**
 * The relay's way to the store: every call has a time limit, and an outage is told once when it begins and once when
 * it ends.
 */
export class StoreCalls {
  readonly #store: RelayStore
  readonly #settings: Pick<RelaySettings, 'clock' | 'storeTimeoutMs'>
  readonly #events: Emitter
  readonly #abandoned = new AbortController()
  #isDown = false

  constructor(store: RelayStore, settings: Pick<RelaySettings, 'clock' | 'storeTimeoutMs'>, events: Emitter) {
    this.#store = store
    this.#settings = settings
    this.#events = events
  }

  get isDown(): boolean {
    return this.#isDown
  }

  readonly check = (): Promise<Answer<'check'>> => this.#call((signal) => this.#store.check({ signal }))
  readonly join = (request: Request<'join'>): Promise<Answer<'join'>> =>
    this.#call((signal) => this.#store.join({ ...request, signal }))
  readonly poll = (request: Request<'poll'>): Promise<Answer<'poll'>> =>
    this.#call((signal) => this.#store.poll({ ...request, signal }))
  readonly acquire = (request: Request<'acquire'>): Promise<Answer<'acquire'>> =>
    this.#call((signal) => this.#store.acquire({ ...request, signal }))
  readonly release = (request: Request<'release'>): Promise<Answer<'release'>> =>
    this.#call((signal) => this.#store.release({ ...request, signal }))
  readonly fetch = (request: Request<'fetch'>): Promise<Answer<'fetch'>> =>
    this.#call((signal) => this.#store.fetch({ ...request, signal }))
  readonly settle = (request: Request<'settle'>): Promise<Answer<'settle'>> =>
    this.#call((signal) => this.#store.settle({ ...request, signal }))

  /** Ends every call, now and later: the relay has no time left. */
  abandon(): void {
    this.#abandoned.abort(relayStopped())
  }

  async #call<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, storeTimeoutMs } = this.#settings
    try {
      const limit = { timeoutMs: storeTimeoutMs, system: 'store', abort: this.#abandoned.signal }
      const answer = await within(clock, limit, call)
      if (this.#isDown) {
        this.#isDown = false
        this.#events.emit('storeUp', {})
      }
      return answer
    } catch (error) {
      if (OutboxError.is(error, 'unavailable') && !this.#isDown && !this.#abandoned.signal.aborted) {
        this.#isDown = true
        this.#events.emit('storeDown', { error })
      }
      throw error
    }
  }
}

/** What a call ends with that the relay's end cut short: no defect, and no mistake in the set-up. */
export function relayStopped(): OutboxError<'unavailable'> {
  return new OutboxError('unavailable', 'The relay was stopped.', { system: 'relay' })
}

/** An outage, or a conflict that a second try may not meet: to be waited for, not a mistake. */
export function isRetryable(error: unknown): boolean {
  return OutboxError.is(error) && error.isRetryable
}
