import type { DueEntry, Publisher } from '@outbox/core'
import { Breaker, type BreakerContext } from './breaker.ts'
import { isRouted } from './route.ts'

/** Every destination behind the relay's publisher, each with its breaker. */
export class Destinations {
  readonly #publisher: Publisher
  readonly #breakers: ReadonlyMap<Publisher, Breaker>

  constructor(publisher: Publisher, context: BreakerContext) {
    this.#publisher = publisher
    const all = isRouted(publisher) ? publisher.destinations : [publisher]
    this.#breakers = new Map(all.map((each) => [each, new Breaker(each, context)]))
  }

  get all(): readonly Breaker[] {
    return [...this.#breakers.values()]
  }

  get areSeveral(): boolean {
    return this.#breakers.size > 1
  }

  /** Nothing can leave at all. */
  get areAllAway(): boolean {
    return this.all.every((breaker) => breaker.isOpen)
  }

  /**
   * Where an entry goes.
   *
   * @throws what the user's routing function throws, or `rejected` where it names no destination
   */
  of(entry: DueEntry): Breaker {
    const publisher = isRouted(this.#publisher) ? this.#publisher.destinationOf(entry) : this.#publisher
    const breaker = this.#breakers.get(publisher)
    if (!breaker) throw new Error(`The route leads to '${publisher.name}', which is not among the destinations.`)
    return breaker
  }

  stop(): void {
    for (const breaker of this.all) breaker.stop()
  }

  resume(): void {
    for (const breaker of this.all) breaker.resume()
  }
}
