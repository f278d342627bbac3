import { OutboxError } from '@outbox/core'
import { knownOptions } from '@outbox/core/adapter'
import type { RelayContext } from './context.ts'
import { type Counters, newCounters } from './counters.ts'
import { deferred } from './deferred.ts'
import { Destinations } from './destinations.ts'
import { Emitter, type RelayEventName, type RelayListener } from './events.ts'
import { Lane } from './lane.ts'
import { Leases, type PollReport } from './leases.ts'
import { type RelayOptions, settingsFrom } from './options.ts'
import { maxTimerMs } from './pause.ts'
import { isLeased, isRetryable, relayStopped, StoreCalls } from './store-calls.ts'
import { drainAll } from './tick.ts'
import { Turns } from './turns.ts'
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

type State = 'idle' | 'ticking' | 'running' | 'stopped'

export interface RelayStats extends Readonly<Counters> {
  readonly state: State
  /** partitions held now, of 64 */
  readonly partitions: number
  /** partitions that other living relays held at this one's last poll, ascending: no business of this one's */
  readonly heldElsewhere: readonly number[]
  /** the leases were renewed so lately that a publish may start */
  readonly mayPublish: boolean
  readonly isStoreDown: boolean
  /** the database refuses what the relay asks, for want of a privilege or a password for instance */
  readonly isStoreRefusing: boolean
  /** names of destinations whose outage was told by `destinationDown`, and its end not yet */
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
   * @throws {OutboxError} `setup-required` for a mistake in the set-up, saying what to do; `invalid-option` if it was
   *   started or stopped before
   */
  start(): Promise<void>
  /** Starts, and resolves when it has stopped: by `signal`, with a drain, or by `stop`. @throws as `start` does */
  run(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  /**
   * Finishes what is in flight and hands the partitions over. Ends within `deadlineMs` (default `drainMs`) whatever
   * happens; what is not settled then is published again by whoever takes over. Of several calls the first one's counts.
   */
  stop(options?: { readonly deadlineMs?: number | undefined }): Promise<void>
  /**
   * For tests and serverless functions, on a relay that is not started: publishes what is due until nothing is or
   * `signal` aborts, and gives its partitions back.
   *
   * @throws {OutboxError} `setup-required`; `unavailable` when the store is away; `invalid-option` while it works, or once
   *   it was started or stopped
   */
  tick(options?: { readonly signal?: AbortSignal | undefined }): Promise<TickReport>
  /** Looks for work now, for instance after a commit in this process. A hint: nothing depends on it. */
  wake(): void
  /**
   * Calls `listener` at each event of that name, until the result is disposed.
   *
   * @throws {OutboxError} `invalid-option` for a name that there is not, and for what is no function
   */
  on<Name extends RelayEventName>(name: Name, listener: RelayListener<Name>): Disposable
  /** What it did since it was made, and how it is now. Asks nobody: cheap at any rate. */
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

/** Its methods are bound: each may be handed on alone, as in `process.on('SIGTERM', relay.stop)`. */
class StoreRelay implements Relay {
  readonly #context: RelayContext
  readonly #calls: StoreCalls
  readonly #leases: Leases
  readonly #destinations: Destinations
  readonly #watch: Watch
  readonly #wakeUps: WakeUps
  readonly #lanes: readonly Lane[]
  readonly #counters = newCounters()
  /** ends publishes and settles that still wait when the drain is over */
  readonly #abort = new AbortController()
  /** ends every call of the store, and the grace of publishes, when there is no time left */
  readonly #over = new AbortController()
  readonly #ended = deferred<void>()
  #state: State = 'idle'
  /** `start` or `tick` at work */
  #beginning: Promise<unknown> | undefined
  /** lanes and watch of a relay that runs */
  #lanesEnded: Promise<unknown> | undefined
  #watchEnded: Promise<unknown> | undefined
  #stopping: Promise<void> | undefined

  constructor(options: RelayOptions) {
    const given = settingsFrom(options)
    const settings = isLeased(options.store) ? given : { ...given, lanes: 1 }
    const context = {
      settings,
      events: new Emitter(options.on, settings.clock),
      abort: this.#abort.signal,
      over: this.#over.signal,
    }
    const calls = new StoreCalls(options.store, context)
    const leases = new Leases({ ...context, calls })
    const destinations = new Destinations(options.publisher, { ...context, onClose: () => this.wake() })
    const parts = { ...context, calls, leases, destinations }
    const watch = new Watch({ ...parts, onPoll: (report) => this.#wakeFor(report) })
    const pollSoon = (): void => watch.pollSoon()
    const forLanes = { ...parts, counters: this.#counters, turns: new Turns(), pollSoon }
    this.#context = context
    this.#calls = calls
    this.#leases = leases
    this.#destinations = destinations
    this.#watch = watch
    this.#wakeUps = new WakeUps({ ...parts, wake: (partitions) => this.#wakeOwners(partitions) })
    this.#lanes = Array.from({ length: settings.lanes }, (_, index) => new Lane(index, forLanes))
  }

  readonly on = <Name extends RelayEventName>(name: Name, listener: RelayListener<Name>): Disposable =>
    this.#context.events.on(name, listener)

  readonly stats = (): RelayStats => ({
    ...this.#counters,
    state: this.#state,
    partitions: this.#leases.held.length,
    heldElsewhere: this.#leases.heldElsewhere,
    mayPublish: this.#leases.mayPublish(),
    isStoreDown: this.#calls.isDown,
    isStoreRefusing: this.#calls.isRefusing,
    destinationsDown: this.#destinations.all.flatMap(({ isAway, publisher }) => (isAway ? publisher.name : [])),
  })

  readonly wake = (): void => this.#wakeOwners()

  readonly start = (): Promise<void> => this.#begin('running', 'start', () => this.#start())

  readonly run = async (options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> => {
    const { signal } = knownOptions('run', options, { signal: true })
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

  readonly stop = (options: { readonly deadlineMs?: number | undefined } = {}): Promise<void> => {
    const { deadlineMs = this.#context.settings.drainMs } = Object(options) as typeof options // a signal's name, by a process's event
    // NaN and what is below 1 count as 1 ms; a timer takes no more than `maxTimerMs`
    this.#stopping ??= this.#stop(deadlineMs > 0 ? Math.min(deadlineMs, maxTimerMs) : 1)
    return this.#stopping
  }

  readonly [Symbol.asyncDispose] = (): Promise<void> => this.stop()

  readonly tick = async (options: { readonly signal?: AbortSignal | undefined } = {}): Promise<TickReport> => {
    const { signal } = knownOptions('tick', options, { signal: true })
    const before = { ...this.#counters }
    const abort = signal ? AbortSignal.any([signal, this.#abort.signal]) : this.#abort.signal
    const isIdle = await this.#begin('ticking', 'tick', () => this.#tick(abort))
    const after = this.#counters
    return {
      published: after.published - before.published,
      retried: after.retried - before.retried,
      dead: after.dead - before.dead,
      isIdle,
    }
  }

  /** One at a time; `stop` waits for it. */
  async #begin<T>(state: 'ticking' | 'running', method: string, work: () => Promise<T>): Promise<T> {
    if (this.#state !== 'idle' || this.#stopping) {
      throw new OutboxError(
        'invalid-option',
        `relay.${method}(): the relay is ${this.#stopping ? 'stopped' : this.#state} already. It starts once; make another.`,
        { option: method },
      )
    }
    this.#state = state
    this.#destinations.resume()
    const working = work()
    this.#beginning = Promise.allSettled([working]) // how it ended is told to the caller
    return working
  }

  /** @returns whether there is work to do now */
  #wakeFor({ due }: PollReport): boolean {
    void this.#wakeUps.begin() // never rejects; needed where the store was away at start
    this.#wakeOwners(due)
    return due.length > 0 && !this.#destinations.areAllAway
  }

  #wakeOwners(partitions?: readonly number[]): void {
    for (const lane of this.#lanes) if (partitions?.some(lane.owns) ?? true) lane.wake()
  }

  async #start(): Promise<void> {
    try {
      await this.#check()
    } catch (error) {
      if (!isRetryable(error)) {
        this.#end()
        throw error
      }
    }
    if (this.#stopping) return
    await this.#wakeUps.begin()
    if (this.#stopping) return
    this.#lanesEnded = Promise.all(this.#lanes.map((lane) => lane.run(this.#abort.signal)))
    this.#watchEnded = this.#watch.run()
  }

  async #check(): Promise<void> {
    await this.#calls.check()
    await this.#destinations.check()
  }

  async #stop(deadlineMs: number): Promise<void> {
    const { clock } = this.#context.settings
    const reserveMs = Math.min(2_000, deadlineMs / 2)
    const expired = deferred<void>()
    const timers = [
      clock.schedule(() => this.#abort.abort(relayStopped()), deadlineMs - reserveMs),
      clock.schedule(() => this.#over.abort(relayStopped()), deadlineMs - reserveMs / 4),
      clock.schedule(() => expired.resolve(), deadlineMs),
    ]
    await Promise.race([this.#drain(), expired.promise])
    for (const cancel of timers) cancel()
    this.#over.abort(relayStopped())
    this.#watch.stop()
    this.#end()
  }

  #end(): void {
    this.#abort.abort(relayStopped())
    this.#destinations.stop()
    this.#state = 'stopped'
    this.#ended.resolve()
  }

  /** Lanes first: their leases are renewed until the last batch is settled. Then the leases, then the rest. */
  async #drain(): Promise<void> {
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
      this.#context.events.reportDefect(error, 'giving the leases back')
    }
  }

  async #tick(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#check()
      const mayGoOn = (): boolean => !this.#stopping && !this.#destinations.areAllAway
      const parts = { leases: this.#leases, lanes: this.#lanes, counters: this.#counters, mayGoOn }
      return await drainAll({ ...this.#context, ...parts }, signal)
    } finally {
      this.#destinations.stop()
      await this.#leave()
      if (this.#state === 'ticking') this.#state = 'idle'
    }
  }
}
