import { aggregateKey, type DueEntry, groupByAggregate, OutboxError, type PublishOutcome } from '@outbox/core'
import type { Breaker } from './breaker.ts'
import type { Destinations } from './destinations.ts'
import type { Emitter } from './events.ts'
import type { RelaySettings } from './options.ts'
import { deferred } from './time.ts'

/** How long a publisher may take to come back once it was told to stop; then its answer is not waited for. */
const abortGraceMs = 1_000

/** One entry's outcome, and whose it is; no breaker: it never got as far as a destination. */
export interface Attempt {
  readonly entry: DueEntry
  readonly outcome: PublishOutcome
  readonly breaker: Breaker | undefined
  /** false: its destination was known to be away, and was not asked */
  readonly isTried: boolean
}

const notSent: PublishOutcome = Object.freeze({ status: 'notSent' })

/**
 * Publishes batches: routes entries to their destinations, keeps each aggregate's order, never waits for ever.
 */
export class Publishing {
  readonly #destinations: Destinations
  readonly #settings: RelaySettings
  readonly #events: Emitter

  constructor(destinations: Destinations, settings: RelaySettings, events: Emitter) {
    this.#destinations = destinations
    this.#settings = settings
    this.#events = events
  }

  /**
   * One attempt per entry, in the order given. Never rejects.
   *
   * Goes in waves: in each, every aggregate sends the run of its next entries that have one destination (a single one
   * where the publisher keeps no order), and drops out when one fails. `mayStart` is asked before each wave.
   */
  async publish(
    entries: readonly DueEntry[],
    mayStart: () => boolean,
    abort: AbortSignal,
  ): Promise<readonly Attempt[]> {
    const attempts: Attempt[] = entries.map((entry) => ({
      entry,
      outcome: notSent,
      breaker: undefined,
      isTried: false,
    }))
    let aggregates = groupByAggregate(entries)
    while (aggregates.length > 0 && mayStart() && !abort.aborted) {
      const wave = new Map<Breaker, number[]>()
      const runs = aggregates.map((indexes) => this.#nextRun(indexes, attempts, wave))
      await Promise.all([...wave].map(([breaker, indexes]) => this.#sendWave(breaker, indexes, attempts, abort)))
      aggregates = aggregates.flatMap((indexes, i) => {
        const run = runs[i] ?? 0
        const isThrough = indexes.slice(0, run).every((index) => attempts[index]?.outcome.status === 'published')
        return run > 0 && isThrough && indexes.length > run ? [indexes.slice(run)] : []
      })
    }
    return attempts
  }

  /** Puts an aggregate's next run into the wave. @returns its length; 0 when the first entry has nowhere to go */
  #nextRun(indexes: readonly number[], attempts: Attempt[], wave: Map<Breaker, number[]>): number {
    let length = 0
    let target: Breaker | undefined
    for (const index of indexes) {
      const attempt = attempts[index]
      if (!attempt) break
      const breaker = this.#resolve(attempt, attempts, index, length === 0)
      if (!breaker || (target && breaker !== target)) break
      target = breaker
      const batch = wave.get(breaker)
      if (batch) batch.push(index)
      else wave.set(breaker, [index])
      length += 1
      if (!breaker.publisher.capabilities.keepsOrderInBatch) break
    }
    return length
  }

  /** The destination of an entry that can be sent; otherwise undefined, with its outcome set if it is at the head. */
  #resolve({ entry }: Attempt, attempts: Attempt[], index: number, isHead: boolean): Breaker | undefined {
    try {
      const breaker = this.#destinations.of(entry)
      const limit = breaker.publisher.capabilities.maxPayloadBytes
      const bytes = limit === undefined ? 0 : Buffer.byteLength(entry.payload)
      if (limit === undefined || bytes <= limit) return breaker
      const outcome: PublishOutcome = { status: 'reject', error: oversize(breaker, bytes, limit) }
      if (isHead) attempts[index] = { entry, outcome, breaker, isTried: false }
    } catch (error) {
      const status = OutboxError.is(error, 'rejected') ? 'reject' : 'retry'
      if (isHead) attempts[index] = { entry, outcome: { status, error }, breaker: undefined, isTried: false }
    }
    return undefined
  }

  async #sendWave(breaker: Breaker, indexes: number[], attempts: Attempt[], abort: AbortSignal): Promise<void> {
    indexes.sort((a, b) => a - b)
    const entries = indexes.flatMap((index) => attempts[index]?.entry ?? [])
    const isTried = !breaker.isOpen
    const outcomes = inContract(
      entries,
      isTried ? await this.#send(breaker, entries, abort) : entries.map(() => notTried(breaker)),
    )
    indexes.forEach((index, i) => {
      const entry = entries[i]
      if (entry) attempts[index] = { entry, outcome: outcomes[i] ?? notSent, breaker, isTried }
    })
  }

  async #send(breaker: Breaker, entries: readonly DueEntry[], abort: AbortSignal): Promise<readonly PublishOutcome[]> {
    const { name } = breaker.publisher
    try {
      const outcomes = await this.#sendInTime(breaker, entries, abort)
      if (outcomes.length !== entries.length) {
        throw new Error(`'${name}' gave ${outcomes.length} outcomes for ${entries.length} entries.`)
      }
      if (!outcomes.every(isOutcome)) throw new Error(`'${name}' gave an outcome without a status that exists.`)
      return outcomes
    } catch (error) {
      if (OutboxError.is(error, 'unavailable')) return entries.map(() => ({ status: 'unavailable', error }))
      this.#events.emit('error', { error, during: `publishing to '${name}'` })
      return entries.map(() => ({ status: 'retry', error }))
    }
  }

  /** Tells the publisher to stop when time is up; one that does not come back then has left everything unknown. */
  async #sendInTime(
    { publisher }: Breaker,
    entries: readonly DueEntry[],
    abort: AbortSignal,
  ): Promise<readonly PublishOutcome[]> {
    const { clock, publishTimeoutMs } = this.#settings
    const controller = new AbortController()
    const gaveUp = deferred<readonly PublishOutcome[]>()
    const error = new OutboxError('unavailable', `'${publisher.name}' did not answer within ${publishTimeoutMs} ms.`, {
      system: publisher.name,
    })
    const stop = (): void => {
      if (controller.signal.aborted) return
      controller.abort(error)
      cancel()
      cancel = clock.schedule(() => gaveUp.resolve(entries.map(() => ({ status: 'unknown', error }))), abortGraceMs)
    }
    let cancel = clock.schedule(stop, publishTimeoutMs)
    abort.addEventListener('abort', stop, { once: true })
    try {
      return await Promise.race([publisher.publish(entries, { signal: controller.signal }), gaveUp.promise])
    } catch (failure) {
      if (!controller.signal.aborted) throw failure
      return entries.map(() => ({ status: 'unknown', error: failure })) // it was told to stop, and told nothing
    } finally {
      cancel()
      abort.removeEventListener('abort', stop)
    }
  }
}

const statuses: { readonly [Status in PublishOutcome['status']]: true } = {
  published: true,
  retry: true,
  reject: true,
  unavailable: true,
  unknown: true,
  fenced: true,
  notSent: true,
}

/** A publisher is somebody's own code: its answers are looked at before they become settlements. */
function isOutcome(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !('status' in value)) return false
  return typeof value.status === 'string' && Object.hasOwn(statuses, value.status)
}

function notTried({ publisher: { name } }: Breaker): PublishOutcome {
  const error = new OutboxError('unavailable', `'${name}' is away: not tried.`, { system: name })
  return { status: 'unavailable', error }
}

/** What follows an aggregate's first failure counts as not sent, unless the publisher says that it was published. */
function inContract(entries: readonly DueEntry[], outcomes: readonly PublishOutcome[]): readonly PublishOutcome[] {
  const failed = new Set<string>()
  return entries.map((entry, index) => {
    const outcome = outcomes[index] ?? notSent
    if (outcome.status === 'published') return outcome
    const key = aggregateKey(entry)
    if (failed.has(key)) return notSent
    failed.add(key)
    return outcome
  })
}

function oversize(breaker: Breaker, bytes: number, limit: number): OutboxError<'rejected'> {
  const { name } = breaker.publisher
  return new OutboxError('rejected', `The payload is ${bytes} bytes; '${name}' takes ${limit} at most.`, {
    system: name,
  })
}
