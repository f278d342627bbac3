import { type DueEntry, OutboxError, type PublishOutcome, type Settlement } from '@outbox/core'
import type { RelaySettings } from './options.ts'
import { reasonOf } from './reason.ts'
import { backoffMs, type RetryRules } from './retry.ts'

/** The shortest wait, in milliseconds, after a function of the user's has failed: mending it takes longer anyway. */
const bugDelayMs = 10_000

export interface DecisionContext {
  readonly settings: Pick<RelaySettings, 'onDead' | 'random'>
  /** the rules for this entry */
  readonly retry: RetryRules
  /** the destination is away, by its breaker, and nobody is to blame: milliseconds until it is asked again */
  readonly awayForMs: number | undefined
  /** other destinations go on: an entry that cannot leave makes room for theirs */
  readonly mustMakeRoom: boolean
  /** an earlier entry of the aggregate failed in the same batch */
  readonly isBehindFailure: boolean
}

/**
 * The state machine of an entry, in one place: pure.
 *
 * @returns what the store is told; undefined: the entry stays as it was
 */
export function decide(entry: DueEntry, outcome: PublishOutcome, context: DecisionContext): Settlement | undefined {
  const { awayForMs, mustMakeRoom, isBehindFailure } = context
  switch (outcome.status) {
    case 'published':
      return { entry, outcome: 'published' }
    case 'notSent':
    case 'fenced':
      return undefined
    case 'reject':
      return dead(entry, outcome.error, context)
    case 'retry':
    case 'unknown':
      // behind a failure its aggregate waits already, and one answer that was lost counts once; each refusal counts
      if (isBehindFailure && outcome.status === 'unknown') return undefined
      // nobody's entry is to blame for a bug: or one bad deployment would make dead letters of the whole backlog
      if (OutboxError.is(outcome.error, 'callback-failed')) {
        return wait(entry, outcome.error, false, { ...context, awayForMs: bugDelayMs })
      }
      if (outcome.status === 'retry' || awayForMs === undefined) return refused(entry, outcome.error, context)
      return wait(entry, outcome.error, false, context)
    case 'unavailable':
      if (awayForMs === undefined) return refused(entry, outcome.error, context)
      return mustMakeRoom ? wait(entry, outcome.error, false, context) : undefined
  }
}

function refused(entry: DueEntry, error: unknown, context: DecisionContext): Settlement {
  return entry.attempt >= context.retry.maxAttempts ? dead(entry, error, context) : wait(entry, error, true, context)
}

function wait(
  entry: DueEntry,
  error: unknown,
  isRefusal: boolean,
  { settings, retry, awayForMs = 0 }: DecisionContext,
): Settlement {
  // where no attempt counts, the backoff would stay at its shortest: an outage lasts until the next probe
  const retryInMs = Math.max(backoffMs(entry.attempt, retry, settings.random), isRefusal ? 0 : awayForMs)
  return { entry, outcome: 'retry', retryInMs, isRefusal, reason: reasonOf(error) }
}

function dead(entry: DueEntry, error: unknown, { settings }: DecisionContext): Settlement {
  return { entry, outcome: 'dead', reason: reasonOf(error), blocksAggregate: settings.onDead === 'block' }
}
