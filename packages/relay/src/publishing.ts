import { type DueEntry, type PublishOutcome, permanent, unavailable } from '@outbox/core'
import { aggregateKey, groupByAggregate, refusal } from '@outbox/core/adapter'
import type { Breaker } from './breaker.ts'
import type { RelayContext } from './context.ts'
import type { Destinations } from './destinations.ts'
import { notSent, outcomesOf, oversizeOf } from './outcomes.ts'
import { within } from './within.ts'

/** How long a publisher may take to come back once it was told to stop; then its answer is not waited for. */
const abortGraceMs = 1_000

export interface PublishingContext extends RelayContext {
  readonly destinations: Destinations
}

/** One entry's outcome, and whose it is. */
export interface Attempt {
  readonly entry: DueEntry
  readonly outcome: PublishOutcome
  /** undefined: it never got as far as a destination */
  readonly breaker: Breaker | undefined
  /** false: its destination was known to be away, or would not take it, and was not asked */
  readonly isTried: boolean
  /** an earlier entry of its aggregate failed in this batch */
  readonly isBehindFailure: boolean
}

/** An attempt as it begins: not tried, without a destination. */
function attemptOf(entry: DueEntry, outcome: PublishOutcome): Attempt {
  return { entry, outcome, breaker: undefined, isTried: false, isBehindFailure: false }
}

/** An entry in whose hands the relay died too often is not tried again. */
export function rejectedForCrashes(entry: DueEntry): Attempt {
  const error = permanent(
    `crash: the relay died ${entry.crashes} times with this entry in hand, at last with nothing else.`,
    { system: 'relay' },
  )
  return attemptOf(entry, { status: 'reject', error })
}

/** An attempt while it is made. */
type Draft = { -readonly [Name in keyof Attempt]: Attempt[Name] }

/**
 * Publishes batches: routes entries to their destinations, keeps each aggregate's order, never waits for ever.
 */
export class Publishing {
  readonly #context: PublishingContext

  constructor(context: PublishingContext) {
    this.#context = context
  }

  /**
   * One attempt per entry, in the order given. Rejects only for a defect of the relay or of the store.
   *
   * Goes in waves: in each, every aggregate sends the run of its next entries that have one destination (a single one
   * where the publisher keeps no order), and drops out when one fails. `mayStart` is asked before each wave.
   */
  async publish(
    entries: readonly DueEntry[],
    mayStart: () => boolean,
    abort: AbortSignal,
  ): Promise<readonly Attempt[]> {
    const drafts = entries.map((entry): Draft => attemptOf(entry, notSent))
    let queues = groupByAggregate(entries).map((indexes) => indexes.flatMap((index) => drafts[index] ?? []))
    while (queues.length > 0 && mayStart() && !abort.aborted) {
      const wave = new Set<Draft>()
      for (const queue of queues) for (const draft of this.#nextRun(queue)) wave.add(draft)
      const sends = this.#context.destinations.all.map((breaker) =>
        this.#send(
          breaker,
          drafts.filter((draft) => wave.has(draft) && draft.breaker === breaker),
          abort,
        ),
      )
      await Promise.all(sends)
      queues = queues
        .map((queue) => queue.filter(({ outcome }) => outcome.status !== 'published'))
        .filter(([next]) => next && next.outcome === notSent && !wave.has(next))
    }
    keepToContract(drafts)
    return drafts
  }

  /** An aggregate's entries for the next wave; none when the first has nowhere to go. */
  #nextRun(queue: readonly Draft[]): readonly Draft[] {
    const run: Draft[] = []
    for (const draft of queue) {
      const breaker = this.#resolve(draft, run.length === 0)
      if (!breaker || breaker !== (run[0]?.breaker ?? breaker)) break
      draft.breaker = breaker
      run.push(draft)
      if (!breaker.publisher.capabilities.keepsOrderInBatch) break
    }
    return run
  }

  /** The destination of an entry that can be sent; otherwise undefined, with its outcome set if it is at the head. */
  #resolve(draft: Draft, isHead: boolean): Breaker | undefined {
    const refuse = (error: unknown): undefined => {
      if (isHead) draft.outcome = refusal(error)
    }
    let breaker: Breaker
    try {
      breaker = this.#context.destinations.of(draft.entry)
    } catch (error) {
      return refuse(error)
    }
    const oversize = oversizeOf(draft.entry, breaker.publisher) // what this throws is a defect, and no entry's fault
    return oversize ? refuse(oversize) : breaker
  }

  async #send(breaker: Breaker, batch: readonly Draft[], abort: AbortSignal): Promise<void> {
    if (batch.length === 0) return
    const isTried = !breaker.isOpen
    const outcomes = isTried
      ? await this.#outcomes(
          breaker,
          batch.map(({ entry }) => entry),
          abort,
        )
      : batch.map(() => notTried(breaker))
    batch.forEach((draft, index) => {
      draft.outcome = outcomes[index] ?? notSent
      draft.isTried = isTried
    })
  }

  /** Tells the publisher to stop when time is up; one that does not come back then has left everything unknown. */
  async #outcomes(
    { publisher }: Breaker,
    entries: readonly DueEntry[],
    abort: AbortSignal,
  ): Promise<readonly PublishOutcome[]> {
    const { settings, events, over } = this.#context
    const system = publisher.name
    const limit = { system, timeoutMs: settings.publishTimeoutMs, abort, grace: { ms: abortGraceMs, end: over } }
    const onDefect = (error: unknown): void => events.report(error, `publishing to '${system}'`)
    try {
      return await within(settings.clock, limit, (signal) => outcomesOf(publisher, entries, signal, onDefect))
    } catch (error) {
      return entries.map(() => ({ status: 'unknown', error }))
    }
  }
}

function notTried({ publisher: { name } }: Breaker): PublishOutcome {
  return { status: 'unavailable', error: unavailable(`'${name}' is away: not tried.`, { system: name }) }
}

/**
 * What follows an aggregate's first failure counts as not sent, unless the publisher says that it was published, or
 * sent without an answer: both may have arrived.
 */
function keepToContract(drafts: readonly Draft[]): void {
  const failed = new Set<string>()
  for (const draft of drafts) {
    const { status } = draft.outcome
    if (status === 'published') continue
    const key = aggregateKey(draft.entry)
    draft.isBehindFailure = failed.has(key)
    failed.add(key)
    if (draft.isBehindFailure && status !== 'unknown') draft.outcome = notSent
  }
}
