import { type DueEntry, OutboxError, type Publisher } from '@outbox/core'
import { callbackFailed, called } from '@outbox/core/adapter'
import { Breaker, type BreakerContext } from './breaker.ts'
import { retryHorizonMs } from './retry.ts'

/** A publisher that is several: the relay gives each destination a breaker of its own. */
export interface RoutedPublisher extends Publisher {
  readonly destinations: readonly Publisher[]
  /** @throws {OutboxError} `rejected` when the route names no destination: the entry becomes a dead letter */
  destinationOf(entry: DueEntry): Publisher
}

function isRouted(publisher: Publisher): publisher is RoutedPublisher {
  return ['destinations', 'destinationOf'].every((name) => name in Object(publisher))
}

/** Where all of it may go: a route may lead to another. */
function destinationsOf(publisher: Publisher): readonly Publisher[] {
  return isRouted(publisher) ? publisher.destinations.flatMap(destinationsOf) : [publisher]
}

/** Every destination behind the relay's publisher, each with its breaker. */
export class Destinations {
  readonly all: readonly Breaker[]
  readonly #publisher: Publisher
  readonly #context: BreakerContext
  readonly #unchecked: Set<Breaker>
  readonly #warnings = new Set<string>()

  constructor(publisher: Publisher, context: BreakerContext) {
    this.all = [...new Set(destinationsOf(publisher))].map((each) => new Breaker(each, context))
    this.#publisher = publisher
    this.#context = context
    this.#unchecked = new Set(this.all)
  }

  /** Nothing can leave at all. */
  get areAllAway(): boolean {
    return this.all.every((breaker) => breaker.isOpen)
  }

  /**
   * Where an entry goes.
   *
   * @throws {OutboxError} `callback-failed` for a bug of the user's routing, `rejected` where that names no destination
   */
  of(entry: DueEntry): Breaker {
    let publisher = this.#publisher
    let callback = ''
    while (isRouted(publisher)) {
      const route = publisher
      callback = `destinationOf of '${route.name}'`
      publisher = called(callback, () => route.destinationOf(entry))
      if (publisher === route) break
    }
    const breaker = this.all.find((each) => each.publisher === publisher)
    if (!breaker) throw callbackFailed(callback, 'returned what is none of its destinations')
    return breaker
  }

  /**
   * Looks at the set-up of each, until that has passed once. One that is away stays unchecked behind its open breaker.
   *
   * @throws {OutboxError} `setup-required`
   */
  async check(): Promise<void> {
    await Promise.all([...this.#unchecked].map((breaker) => this.#check(breaker)))
  }

  stop(): void {
    for (const breaker of this.all) breaker.stop()
  }

  resume(): void {
    for (const breaker of this.all) breaker.resume()
  }

  async #check(breaker: Breaker): Promise<void> {
    if (breaker.isOpen) return
    const { settings, abort } = this.#context
    const horizonMs = retryHorizonMs(settings.retry) + settings.leaseMs + settings.publishTimeoutMs
    try {
      const warnings = await breaker.ask((publisher, signal) =>
        publisher.check?.({ retryHorizonMs: horizonMs, signal }),
      )
      this.#unchecked.delete(breaker)
      breaker.noteSuccess()
      for (const message of warnings ?? []) this.#warn(message)
    } catch (error) {
      if (abort.aborted || !OutboxError.is(error, 'unavailable')) throw error
      await breaker.openIfAway(error, true)
    }
  }

  /** Once: a destination may stand behind several. */
  #warn(message: string): void {
    if (!this.#warnings.has(message)) this.#context.events.emit('warning', { message })
    this.#warnings.add(message)
  }
}
