import { type DueEntry, OutboxError, type PublishOutcome, type Settlement } from '@outbox/core'
import type { RelayEvents } from './events.ts'
import type { RelaySettings } from './options.ts'
import { backoffMs } from './retry.ts'

/** What one outcome means: what the store is told, and what the listeners are. */
export interface Decision {
  /** undefined: the entry stays as it was */
  readonly settlement?: Settlement
  readonly retry?: RelayEvents['retry']
  readonly dead?: RelayEvents['dead']
}

export interface DecisionContext {
  readonly settings: Pick<RelaySettings, 'retry' | 'onDead' | 'random'>
  /** the destination is away, by its breaker, and nobody is to blame: milliseconds until it is asked again */
  readonly awayForMs: number | undefined
  /** other destinations go on: an entry that cannot leave makes room for theirs */
  readonly mustMakeRoom: boolean
}

const nothing: Decision = Object.freeze({})

/** The state machine of an entry, in one place: pure. */
export function decide(entry: DueEntry, outcome: PublishOutcome, context: DecisionContext): Decision {
  switch (outcome.status) {
    case 'published':
      return { settlement: { entry, outcome: 'published' } }
    case 'notSent':
    case 'fenced':
      return nothing
    case 'reject':
      return died(entry, outcome.error, context)
    case 'retry':
      return refused(entry, outcome.error, context)
    case 'unknown':
      if (context.awayForMs === undefined) return refused(entry, outcome.error, context)
      return wait(entry, outcome.error, false, context)
    case 'unavailable':
      if (context.awayForMs === undefined) return refused(entry, outcome.error, context)
      return context.mustMakeRoom ? wait(entry, outcome.error, false, context) : nothing
  }
}

/** An entry in whose hands the relay died too often is not tried again. */
export function crashedTooOften(entry: DueEntry, context: DecisionContext): Decision {
  const error = new OutboxError(
    'rejected',
    `crash: the relay died ${entry.crashes} times while it published this entry, the last times with nothing else in hand.`,
    { system: 'relay' },
  )
  return died(entry, error, context)
}

function refused(entry: DueEntry, error: unknown, context: DecisionContext): Decision {
  return entry.attempt >= context.settings.retry.maxAttempts
    ? died(entry, error, context)
    : wait(entry, error, true, context)
}

function wait(
  entry: DueEntry,
  error: unknown,
  isRefusal: boolean,
  { settings, awayForMs = 0 }: DecisionContext,
): Decision {
  // an outage counts no attempts, so that the backoff would stay at its shortest: it lasts until the next probe
  const retryInMs = Math.max(backoffMs(entry.attempt, settings.retry, settings.random), isRefusal ? 0 : awayForMs)
  return {
    settlement: { entry, outcome: 'retry', retryInMs, isRefusal, reason: reasonOf(error) },
    retry: { entry, error, retryInMs, isRefusal },
  }
}

function died(entry: DueEntry, error: unknown, { settings }: DecisionContext): Decision {
  const reason = reasonOf(error)
  return {
    settlement: { entry, outcome: 'dead', reason, blocksAggregate: settings.onDead === 'block' },
    dead: { entry, reason, error },
  }
}

const maxReasonLength = 1_000

/** One line that tells a person why; stored beside the entry. */
export function reasonOf(error: unknown): string {
  return textOf(error).replace(/\s+/g, ' ').slice(0, maxReasonLength).toWellFormed()
}

/** Anything can be thrown, also what has no text: that must not stop the batch. */
function textOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.message) : String(error)
  } catch {
    return 'an unprintable error'
  }
}
