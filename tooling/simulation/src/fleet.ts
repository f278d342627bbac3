import type { LeasedSource, Publisher } from '@outbox/core'
import type { Relay, RelayEventName, RelayOptions } from '@outbox/relay'
import type { Chance } from './chance.ts'
import { type History, numbers } from './history.ts'
import { Machine } from './machine.ts'
import type { Plan } from './plan.ts'
import type { Rule } from './rules/names.ts'
import type { Timeline } from './timeline.ts'

export type CreateRelay = (options: RelayOptions) => Relay

/** One place in the fleet: a supervisor that starts the relay again when its process has ended. */
interface Place {
  readonly index: number
  machine: Machine
  relay: Relay
  incarnations: number
}

const startDelayMs = 300

/** The relay processes, and whoever looks after them. */
export class Fleet {
  readonly #plan: Plan
  readonly #createRelay: CreateRelay
  readonly #timeline: Timeline
  readonly #history: History
  readonly #chance: Chance
  readonly #storeFor: (machine: Machine) => LeasedSource
  readonly #publisherFor: (machine: Machine) => Publisher
  readonly #places = new Map<number, Place>()

  constructor(
    plan: Plan,
    createRelay: CreateRelay,
    world: {
      readonly timeline: Timeline
      readonly history: History
      readonly chance: Chance
      readonly storeFor: (machine: Machine) => LeasedSource
      readonly publisherFor: (machine: Machine) => Publisher
    },
  ) {
    this.#plan = plan
    this.#createRelay = createRelay
    this.#timeline = world.timeline
    this.#history = world.history
    this.#chance = world.chance
    this.#storeFor = world.storeFor
    this.#publisherFor = world.publisherFor
  }

  start(index: number, incarnation = 0): void {
    const chance = this.#chance.fork()
    const { drift, relay: options } = this.#plan
    const name = `relay ${index}${'′'.repeat(Math.min(incarnation, 3))}${incarnation > 3 ? incarnation : ''}`
    const machine = new Machine(this.#timeline, {
      name,
      rate: 1 + drift * (2 * chance.fraction() - 1),
      start: chance.between(0, 1_000_000_000),
    })
    let holders = 0
    const relay = this.#createRelay({
      ...options,
      store: this.#storeFor(machine),
      publisher: this.#publisherFor(machine),
      clock: machine.clock,
      random: chance.fraction,
      newHolder: () => `${name} (${++holders})`,
      on: this.#listeners(name),
    })
    this.#places.set(index, { index, machine, relay, incarnations: incarnation })
    void relay.start().catch((error: unknown) => {
      this.#history.record({ kind: 'violation', rule: 'start', text: `${name}: start rejected: ${String(error)}` })
    })
    this.#supervise(index, machine, incarnation)
  }

  /** SIGKILL. */
  kill(index: number, restartAfterMs: number): void {
    const place = this.#places.get(index)
    if (!place || place.machine.hasEnded) return
    this.#history.record({ kind: 'fault', text: `${place.machine.name} is killed` })
    place.machine.kill()
    this.#timeline.after(restartAfterMs, () => this.#startAgain(place))
  }

  /** SIGSTOP, and SIGCONT later. */
  pause(index: number, forMs: number): void {
    const place = this.#places.get(index)
    if (!place?.machine.isRunning) return
    this.#history.record({ kind: 'fault', text: `${place.machine.name} is stopped for ${forMs} ms` })
    place.machine.stop(forMs)
  }

  /** SIGTERM, and a new process later. */
  restart(index: number, afterMs: number): void {
    const place = this.#places.get(index)
    if (!place?.machine.isRunning) return
    this.#history.record({ kind: 'fault', text: `${place.machine.name} is told to end` })
    const { machine } = place
    void this.#end(place).then(() => {
      if (machine.hasEnded) return
      machine.kill()
      this.#timeline.after(afterMs, () => this.#startAgain(place))
    })
  }

  nameOf(index: number): string | undefined {
    return this.#places.get(index)?.machine.name
  }

  /** partitions that each living relay holds */
  get shares(): readonly number[] {
    return this.#living.map(({ relay }) => relay.stats().partitions)
  }

  /** Ends all relays cleanly; resolves when all have ended. */
  async end(): Promise<void> {
    await Promise.all(this.#living.map((place) => this.#end(place)))
    for (const place of this.#places.values()) this.#count(place)
  }

  get #living(): readonly Place[] {
    return [...this.#places.values()].filter(({ machine }) => !machine.hasEnded)
  }

  async #end({ machine, relay }: Place): Promise<void> {
    const from = this.#timeline.now
    const before = machine.stoppedMs
    this.#history.record({ kind: 'stopping', relay: machine.name })
    await relay.stop()
    const tookMs = this.#timeline.now - from
    const stoppedMs = machine.stoppedMs - before
    const violation = (rule: Rule, text: string): void =>
      this.#history.record({ kind: 'violation', rule, text: `${machine.name} ${text}` })
    // a stopped machine runs no timer, and clocks drift
    if (machine.isRunning && tookMs > this.#plan.relay.drainMs * 1.05 + stoppedMs) {
      violation('stop', `took ${tookMs} ms to stop`)
    }
    if (machine.timersLeft > openRequests) violation('stop', `left ${machine.timersLeft} timers behind`)
  }

  /** Its process has ended, and what it counted can still be read. */
  #count({ machine, relay }: Place): void {
    this.#history.record({ kind: 'counted', relay: machine.name, stats: relay.stats() })
  }

  /** A process that died by itself is started again, like one that was killed. */
  #supervise(index: number, machine: Machine, incarnation: number): void {
    const look = (): void => {
      const place = this.#places.get(index)
      if (place?.machine !== machine || place.incarnations !== incarnation) return
      if (machine.hasEnded) this.#startAgain(place)
      else this.#timeline.after(startDelayMs, look)
    }
    this.#timeline.after(startDelayMs, look)
  }

  #startAgain(place: Place): void {
    const now = this.#places.get(place.index)
    if (now !== place || this.#isOver) return
    this.#count(place)
    this.start(place.index, place.incarnations + 1)
  }

  #isOver = false
  /** Nobody is started again from here on. */
  close(): void {
    this.#isOver = true
  }

  #listeners(relay: string): NonNullable<RelayOptions['on']> {
    const record = (name: RelayEventName, entries: readonly { readonly id: string }[], text = ''): void =>
      this.#history.record({ kind: 'event', relay, name, ids: entries.map(({ id }) => id), text })
    return {
      published: ({ entries }) => record('published', entries),
      retry: ({ entry, isRefusal }) => record('retry', [entry], isRefusal ? 'refusal' : 'outage'),
      dead: ({ entry, reason }) => record('dead', [entry], reason),
      lateSequence: ({ entry }) => record('lateSequence', [entry]),
      settleRefused: ({ entries }) => record('settleRefused', entries),
      leasesLost: ({ partitions }) => record('leasesLost', [], numbers(partitions)),
      partitions: ({ held }) => record('partitions', [], numbers(held)),
      destinationDown: () => record('destinationDown', []),
      destinationUp: () => record('destinationUp', []),
      storeDown: () => record('storeDown', []),
      storeUp: () => record('storeUp', []),
      error: ({ error, during }) => record('error', [], `${during}: ${String(error)}`),
    }
  }
}

/** requests that were given up leave their departure timers for a moment */
const openRequests = 8
