import { type Clock, type DueEntry, systemClock } from '@outbox/core'
import { invalidOption, knownOptions } from '@outbox/core/adapter'
import { reasonOf } from './reason.ts'
import { isRetryable } from './store-calls.ts'

/** What the relay tells. Nothing is logged: listen, and log what you care about. No event carries a secret of the relay's. */
export interface RelayEvents {
  /** The broker has these, and the store knows it. */
  readonly published: { readonly entries: readonly DueEntry[] }
  /**
   * An entry failed and its aggregate waits. `isRefusal`: it counts as an attempt; false for an outage, and for a bug in
   * a function of yours.
   */
  readonly retry: {
    readonly entry: DueEntry
    readonly error: unknown
    readonly retryInMs: number
    readonly isRefusal: boolean
  }
  /** An entry became a dead letter. */
  readonly dead: { readonly entry: DueEntry; readonly reason: string; readonly error: unknown }
  /**
   * An entry was committed after a later one of its aggregate had been published: the producer broke the order. Told once,
   * when it is published or becomes a dead letter.
   */
  readonly lateSequence: { readonly entry: DueEntry }
  /** A destination is away: publishing to it pauses, no attempt is counted. */
  readonly destinationDown: { readonly destination: string; readonly error: unknown }
  /** It has answered a probe; where it has none, taken an entry: one that only refuses is not known to be back. */
  readonly destinationUp: { readonly destination: string }
  /** The database is away: the relay goes on trying. Told once per outage. */
  readonly storeDown: { readonly error: unknown }
  readonly storeUp: Readonly<Record<never, never>>
  /** The relay's partitions changed: all it holds now. */
  readonly partitions: { readonly held: readonly number[] }
  /** Leases went to another relay while this one was away; what it had in hand will be published again. */
  readonly leasesLost: { readonly partitions: readonly number[] }
  /** What this relay said about entries changed nothing, because their lease was another's by then. */
  readonly settleRefused: { readonly entries: readonly DueEntry[] }
  /** Something works but deserves a look, such as a dedupe window shorter than the retries. */
  readonly warning: { readonly message: string }
  /**
   * A defect, in a callback, an adapter or a set-up: the relay goes on, the entries concerned are tried again. One that
   * lasts is told once a minute, one in work with the store also when that had gone well in between.
   */
  readonly error: { readonly error: unknown; readonly during: string }
}

export type RelayEventName = keyof RelayEvents

/** Every event's name, to tell a misspelt one. */
export const relayEvents: { readonly [Name in RelayEventName]: true } = {
  published: true,
  retry: true,
  dead: true,
  lateSequence: true,
  destinationDown: true,
  destinationUp: true,
  storeDown: true,
  storeUp: true,
  partitions: true,
  leasesLost: true,
  settleRefused: true,
  warning: true,
  error: true,
}

/** Called at once; it may be asynchronous: nothing waits for it, and its rejection is an `error` event. */
export type RelayListener<Name extends RelayEventName> = (event: RelayEvents[Name]) => unknown
export type RelayListeners = { readonly [Name in RelayEventName]?: RelayListener<Name> | undefined }

const repeatMs = 60_000
/** different errors of one kind of work that are told within that time: a text may name an entry, or the hour */
const maxDifferent = 5

/** Delivers events to listeners, and lets no listener's failure reach the relay. */
export class Emitter {
  readonly #listeners = new Map<RelayEventName, Set<(event: never) => unknown>>()
  readonly #clock: Clock
  /** what was told of late, per kind of work */
  readonly #told = new Map<string, Set<string>>()
  /** when all of it may be told again */
  #forgetAt = 0

  constructor(listeners: RelayListeners = {}, clock: Clock = systemClock) {
    this.#clock = clock
    for (const [name, listener] of Object.entries(knownListeners(listeners))) {
      this.on(name as RelayEventName, listener as RelayListener<RelayEventName>)
    }
  }

  /** @throws {OutboxError} `invalid-option` for an event that there is not, and for what cannot be called */
  on<Name extends RelayEventName>(name: Name, listener: RelayListener<Name>): Disposable {
    knownListeners({ [name]: listener })
    if (typeof listener !== 'function') throw invalidOption('createRelay', `on.${name}`, 'must be a function')
    const listeners = this.#listeners.get(name) ?? new Set()
    const own: RelayListener<Name> = (event) => listener(event) // one function may listen twice
    this.#listeners.set(name, listeners.add(own))
    return { [Symbol.dispose]: () => void listeners.delete(own) }
  }

  emit<Name extends RelayEventName>(name: Name, event: RelayEvents[Name]): void {
    const listeners = [...(this.#listeners.get(name) ?? [])]
    if (name === 'error' && listeners.length === 0) warn((event as RelayEvents['error']).error)
    for (const listener of listeners) void this.#call(name, async () => listener(event as never))
  }

  /** As `report`, for defects alone: an outage or a conflict, which a second try may not meet, is none. */
  reportDefect(error: unknown, during: string): void {
    if (!isRetryable(error)) this.report(error, during)
  }

  /** Emits an `error` event, unless this kind of work has told the same within the last minute, or five others. */
  report(error: unknown, during: string): void {
    const now = this.#clock.monotonic()
    if (now >= this.#forgetAt) {
      this.#told.clear()
      this.#forgetAt = now + repeatMs
    }
    const told = this.#told.get(during) ?? new Set<string>()
    const { size } = told
    if (size === maxDifferent || told.add(reasonOf(error)).size === size) return
    this.#told.set(during, told)
    this.emit('error', { error, during })
  }

  /** Such work went well: if it fails again, that is news. */
  forgetReports(during: string): void {
    this.#told.delete(during)
  }

  /** Never rejects. */
  async #call(name: RelayEventName, listener: () => Promise<unknown>): Promise<void> {
    try {
      await listener()
    } catch (error) {
      if (name === 'error') warn(error)
      else this.report(error, `a listener of '${name}'`)
    }
  }
}

function knownListeners(listeners: RelayListeners): RelayListeners {
  return knownOptions('createRelay', listeners, relayEvents, 'on.')
}

/** The last resort, for an error that nobody listens for: the runtime's own channel, as for any stray error. */
function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : new Error(reasonOf(error), { cause: error }))
}
