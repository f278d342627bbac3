import { OutboxError } from '@outbox/core'
import { type Counters, newCounters } from './counters.ts'
import { Destinations } from './destinations.ts'
import { Emitter, type RelayEventName, type RelayListener } from './events.ts'
import { Lane } from './lane.ts'
import { Leases, type Look } from './leases.ts'
import { type RelayOptions, type RelaySettings, settingsFrom } from './options.ts'
import { SetupChecks } from './setup.ts'
import { isRetryable, type RelayStore, relayStopped, StoreCalls } from './store-calls.ts'
import { deferred, pause } from './time.ts'
import { Turns } from './turns.ts'
import { isLeased, UnleasedStore } from './unleased.ts'
import { WakeUps } from './wake-ups.ts'
import { Watch } from './watch.ts'

/** What one `tick` did. */
export interface TickReport {
  readonly published: number
  /** entries made to wait for another try */
  readonly retried: number
  readonly dead: number
  /** nothing is due any more; false: aborted, or a destination or another relay stands in the way */
  readonly isIdle: boolean
}

export interface RelayStats extends Readonly<Counters> {
  /** partitions held now, of 64 */
  readonly partitions: number
  readonly isStoreDown: boolean
  /** names of destinations that are away */
  readonly destinationsDown: readonly string[]
}

/**
 * Moves committed entries from a store to a broker: at least once, in order per aggregate, until stopped.
 *
 * Any number of relays may work on one store, in any number of processes; each takes its fair share.
 */
export interface Relay extends AsyncDisposable {
  /**
   * Resolves when the set-up is checked and the relay works. An outage does not reject: the relay goes on trying, and
   * checks when it is over.
   *
   * @throws {OutboxError} `setup-required` for a mistake in the set-up, saying what to do
   */
  start(): Promise<void>
  /** Starts, and resolves when it has stopped: by `signal`, with a drain, or by `stop`. @throws as `start` does */
  run(options?: { readonly signal?: AbortSignal }): Promise<void>
  /**
   * Finishes what is in flight and hands the partitions over. Ends within `deadlineMs` (default `drainMs`) whatever
   * happens; what is not settled then is published again by whoever takes over.
   */
  stop(options?: { readonly deadlineMs?: number }): Promise<void>
  /**
   * For tests and serverless functions, on a relay that is not started: publishes what is due until nothing is or
   * `signal` aborts, and gives its partitions back.
   *
   * @throws {OutboxError} `setup-required`; `unavailable` when the store is away
   */
  tick(options?: { readonly signal?: AbortSignal }): Promise<TickReport>
  /** Looks for work now, for instance after a commit in this process. A hint: nothing depends on it. */
  wake(): void
  on<Name extends RelayEventName>(name: Name, listener: RelayListener<Name>): Disposable
  stats(): RelayStats
}

/**
 * Makes a relay; it does nothing before `start`, `run` or `tick`.
 *
 * @throws {OutboxError} `invalid-option`, saying what to write instead
 * @example
 * ```ts
 * const relay = createRelay({ store: outbox, publisher: redisPublisher({ client, stream: 'orders' }) })
 * await relay.run({ signal })
 * ```
 */
export function createRelay(options: RelayOptions): Relay {
  return new StoreRelay(options)
}

/** A tick that finds work due but gets none of it ends after so many further looks. */
const maxIdleLooks = 2

const longestMs = 2 ** 31 - 1

class StoreRelay implements Relay {
  readonly #settings: RelaySettings
  readonly #events: Emitter
  readonly #calls: StoreCalls
  readonly #leases: Leases
  readonly #destinations: Destinations
  readonly #setup: SetupChecks
  readonly #watch: Watch
  readonly #wakeUps: WakeUps
  readonly #turns = new Turns()
  readonly #lanes: readonly Lane[]
  readonly #counters = newCounters()
  /** ends publishes and settles that still wait when the drain is over */
  readonly #abort = new AbortController()
  readonly #ended = deferred<void>()
  #state: 'idle' | 'ticking' | 'running' | 'stopped' = 'idle'
  /** `start` or `tick` at work */
  #beginning: Promise<unknown> = Promise.resolve()
  #lanesEnded: Promise<unknown> = Promise.resolve()
  #watchEnded: Promise<unknown> = Promise.resolve()
  #stopping: Promise<void> | undefined

  constructor(options: RelayOptions) {
    const { store, publisher } = options
    const given = settingsFrom(options)
    const settings = isLeased(store) ? given : Object.freeze({ ...given, lanes: 1 })
    const events = new Emitter(options.on)
    this.#settings = settings
    this.#events = events
    const relayed: RelayStore = isLeased(store) ? store : new UnleasedStore(store, settings.clock)
    const abort = this.#abort.signal
    this.#calls = new StoreCalls(relayed, settings, events)
    this.#leases = new Leases(this.#calls, settings, events)
    this.#destinations = new Destinations(publisher, { settings, events, abort, onClose: () => this.wake() })
    this.#setup = new SetupChecks(this.#calls, this.#destinations.all, { settings, events, abort })
    this.#wakeUps = new WakeUps(relayed, { settings, events, abort, wake: () => this.wake() })
    this.#watch = new Watch(this.#leases, this.#setup, { settings, events, onLook: (look) => this.#wakeFor(look) })
    this.#lanes = Array.from({ length: settings.lanes }, (_, index) => this.#newLane(index))
  }

  on<Name extends RelayEventName>(name: Name, listener: RelayListener<Name>): Disposable {
    return this.#events.on(name, listener)
  }

  stats(): RelayStats {
    return {
      ...this.#counters,
      partitions: this.#leases.held.length,
      isStoreDown: this.#calls.isDown,
      destinationsDown: this.#destinations.all.filter(({ isOpen }) => isOpen).map(({ publisher }) => publisher.name),
    }
  }

  wake(): void {
    for (const lane of this.#lanes) lane.wake()
  }

  async start(): Promise<void> {
    this.#enter('running', 'start')
    const started = this.#start()
    this.#beginning = started.catch(() => undefined) // start() itself tells its caller
    return started
  }

  async run({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (signal?.aborted) return
    const stop = (): void => void this.stop()
    signal?.addEventListener('abort', stop, { once: true })
    try {
      await this.start()
      await this.#ended.promise
    } finally {
      signal?.removeEventListener('abort', stop)
    }
  }

  stop({ deadlineMs = this.#settings.drainMs }: { readonly deadlineMs?: number } = {}): Promise<void> {
    // a timer takes no more than `longestMs`, and takes what is no number for 1
    this.#stopping ??= this.#stop(deadlineMs > 0 ? Math.min(deadlineMs, longestMs) : 1)
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async tick({ signal }: { readonly signal?: AbortSignal } = {}): Promise<TickReport> {
    this.#enter('ticking', 'tick')
    const before = { ...this.#counters }
    const ticked = this.#tick(signal ? AbortSignal.any([signal, this.#abort.signal]) : this.#abort.signal)
    this.#beginning = ticked.catch(() => undefined) // tick() itself tells its caller
    const isIdle = await ticked.finally(() => {
      if (this.#state === 'ticking') this.#state = 'idle'
    })
    return {
      published: this.#counters.published - before.published,
      retried: this.#counters.retried - before.retried,
      dead: this.#counters.dead - before.dead,
      isIdle,
    }
  }

  #enter(state: 'ticking' | 'running', method: string): void {
    if (this.#state !== 'idle' || this.#stopping) {
      throw new OutboxError(
        'invalid-option',
        `relay.${method}(): the relay is ${this.#state} already. A relay starts once; make another with createRelay.`,
        { option: method },
      )
    }
    this.#state = state
  }

  #newLane(index: number): Lane {
    return new Lane(index, {
      calls: this.#calls,
      settings: this.#settings,
      events: this.#events,
      leases: this.#leases,
      destinations: this.#destinations,
      counters: this.#counters,
      turns: this.#turns,
      lookSoon: () => this.#watch.lookSoon(),
    })
  }

  /** @returns whether there is work to do now */
  #wakeFor(look: Look): boolean {
    void this.#wakeUps.begin() // never rejects; needed where the store was away at start
    for (const lane of this.#lanes) if (look.due.some(lane.owns)) lane.wake()
    return look.due.length > 0 && !this.#destinations.areAllAway
  }

  async #start(): Promise<void> {
    this.#destinations.resume()
    try {
      await this.#setup.run()
    } catch (error) {
      if (!isRetryable(error)) {
        this.#destinations.stop()
        this.#state = 'stopped'
        this.#ended.resolve()
        throw error
      }
    }
    if (this.#stopping) return
    await this.#wakeUps.begin()
    this.#lanesEnded = Promise.all(this.#lanes.map((lane) => lane.run(this.#abort.signal)))
    this.#watchEnded = this.#watch.run()
  }

  async #stop(deadlineMs: number): Promise<void> {
    const { clock } = this.#settings
    const reserveMs = Math.min(2_000, deadlineMs / 2)
    const expired = deferred<void>()
    const timers = [
      clock.schedule(() => this.#abort.abort(relayStopped()), deadlineMs - reserveMs),
      clock.schedule(() => this.#calls.abandon(), deadlineMs - reserveMs / 4),
      clock.schedule(() => expired.resolve(), deadlineMs),
    ]
    await Promise.race([this.#end(), expired.promise])
    for (const cancel of timers) cancel()
    this.#abort.abort(relayStopped())
    this.#calls.abandon()
    this.#destinations.stop()
    this.#state = 'stopped'
    this.#ended.resolve()
  }

  /** Lanes first: their leases are renewed until the last batch is settled. Then the leases, then the rest. */
  async #end(): Promise<void> {
    for (const lane of this.#lanes) lane.stop()
    await this.#beginning
    await this.#lanesEnded
    this.#watch.stop()
    await this.#watchEnded
    await this.#leave()
    await this.#wakeUps.end()
  }

  async #leave(): Promise<void> {
    try {
      await this.#leases.leave()
    } catch (error) {
      if (!isRetryable(error)) this.#events.emit('error', { error, during: 'giving the leases back' })
    }
  }

  async #tick(signal: AbortSignal): Promise<boolean> {
    this.#destinations.resume()
    try {
      await this.#setup.run()
      let idleLooks = 0
      while (!signal.aborted && !this.#stopping && !this.#destinations.areAllAway) {
        const look = await this.#leases.look()
        const hasNothing = look.due.length === 0 && look.contested.length === 0
        if (look.isMember && hasNothing) return look.dueElsewhere.length === 0
        const isDoing = look.due.length > 0 && (await this.#drainLanes(signal))
        if (isDoing || !look.isMember) continue
        // Due and not to be had: the holder may be dead, which further looks tell, or the store needs another moment.
        if (look.contested.length === 0 && ++idleLooks > maxIdleLooks) return false
        await pause(this.#settings.clock, this.#settings.pollIntervalMs, signal)
      }
      return false
    } finally {
      this.#destinations.stop()
      await this.#leave()
    }
  }

  /**
   * Nobody renews the leases meanwhile, so it ends when they do: a settle that the store does not hear is given up.
   *
   * @returns whether anything came of it
   */
  async #drainLanes(signal: AbortSignal): Promise<boolean> {
    const before = this.#progress
    const leasesEnd = new AbortController()
    const cancel = this.#settings.clock.schedule(() => leasesEnd.abort(), this.#settings.leaseMs)
    const abort = AbortSignal.any([signal, leasesEnd.signal])
    await Promise.all(this.#lanes.map((lane) => lane.drain(abort)))
    cancel()
    return this.#progress > before
  }

  get #progress(): number {
    const { published, retried, dead } = this.#counters
    return published + retried + dead
  }
}
