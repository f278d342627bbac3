import type { RelayBeat } from '@outbox/core'
import type { RelayContext } from './context.ts'
import { keptForMs } from './options.ts'

interface Sighting {
  readonly beat: number
  /** our monotonic time when it will have stood still for too long */
  readonly evictableAt: number
  /** a beat of this relay was seen to move: it lives, or did */
  readonly hasMoved: boolean
}

/**
 * Who of the other relays lives, as far as this one sees: whose beat stands still for `keptForMs` after an answer of the
 * store is dead. No wall clock takes part.
 */
export class Beats {
  readonly #context: RelayContext
  readonly #seen = new Map<string, Sighting>()
  /** when the store last answered; undefined: this relay has left, or has not begun */
  #answeredAt: number | undefined
  /** how often it was asked since then */
  #asked = 0

  constructor(context: RelayContext) {
    this.#context = context
  }

  /** The store is asked. */
  ask(): void {
    this.#asked += 1
  }

  /** The store has answered. Who hears nothing cannot tell who was silent meanwhile: an outage gives all their time anew. */
  hear(): void {
    const keptMs = keptForMs(this.#context.settings)
    const outageMs = this.#asked > 1 ? keptMs / 2 : keptMs // an answer that is only slow is none
    if (this.#answeredAt !== undefined && this.#now - this.#answeredAt > outageMs) this.#seen.clear()
    this.#answeredAt = this.#now
    this.#asked = 0
  }

  /** @param relays - the members, as the answer has them */
  see(relays: readonly RelayBeat[], self: string): void {
    const keptMs = keptForMs(this.#context.settings)
    for (const name of this.#seen.keys()) if (!relays.some(({ holder }) => holder === name)) this.#seen.delete(name)
    for (const { holder, beat } of relays) {
      const before = this.#seen.get(holder)
      if (holder === self || before?.beat === beat) continue
      this.#seen.set(holder, { beat, evictableAt: this.#now + keptMs, hasMoved: before !== undefined })
    }
  }

  /** The dead, to be evicted. */
  get silent(): readonly RelayBeat[] {
    return [...this.#seen].flatMap(([holder, { beat, evictableAt }]) =>
      evictableAt <= this.#now ? { holder, beat } : [],
    )
  }

  /** milliseconds until the first of them is dead; infinity: there is none */
  get nextDeathInMs(): number {
    return Math.min(...[...this.#seen.values()].map(({ evictableAt }) => evictableAt)) - this.#now
  }

  /** It has not shown yet whether it lives. */
  isUnproven(holder: string | null): boolean {
    return this.#seen.get(holder ?? '')?.hasMoved === false
  }

  forget(relays: readonly RelayBeat[]): void {
    for (const { holder } of relays) this.#seen.delete(holder)
  }

  /** This relay leaves: until it joins again it asks nobody, and that is no outage. */
  rest(): void {
    this.#answeredAt = undefined
    this.#asked = 0
  }

  get #now(): number {
    return this.#context.settings.clock.monotonic()
  }
}
