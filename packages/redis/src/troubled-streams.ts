import type { Clock, PublishOutcome } from '@outbox/core'
import type { StreamKeys } from './keys.ts'

/** Streams that are remembered of either kind; where more are in trouble, the server as a whole is, and these will tell. */
const maxRemembered = 16

/** A publisher that has published nothing yet takes one stream's refusal for everybody's for so long, then tries a batch. */
const trialAfterMs = 30_000

/**
 * Streams that could not be written to, and some that could, for the probe to ask about.
 *
 * With a stream function, a publisher writes to many, and in a cluster each may be on another node: one that answers
 * says nothing of the others. A stream is in trouble until something else comes of it.
 */
export class TroubledStreams {
  readonly #troubled = new Map<string, StreamKeys>()
  /** in the order of their last entries */
  readonly #taken = new Map<string, StreamKeys>()

  readonly #clock: Pick<Clock, 'monotonic'>
  #notedAt = 0

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  note(keys: StreamKeys, outcomes: readonly (PublishOutcome | undefined)[]): void {
    const has = (status: PublishOutcome['status']): boolean => outcomes.some((outcome) => outcome?.status === status)
    if (has('published')) this.#noteTaken(keys)
    if (has('unavailable') || has('unknown')) this.#noteTroubled(keys)
    else this.#troubled.delete(keys.stream)
  }

  get all(): readonly StreamKeys[] {
    return [...this.#troubled.values()]
  }

  /** Streams that took entries, the latest ones: they may be in trouble now. */
  get taken(): readonly StreamKeys[] {
    return [...this.#taken.values()]
  }

  /** Whether no stream has got into trouble for a while: then a batch is let through, to show whether others are well. */
  get isTrialDue(): boolean {
    return this.#clock.monotonic() - this.#notedAt >= trialAfterMs
  }

  /** They answered: the next publish tells whether they are well. */
  forget(streams: readonly StreamKeys[]): void {
    for (const { stream } of streams) this.#troubled.delete(stream)
  }

  #noteTroubled(keys: StreamKeys): void {
    this.#notedAt = this.#clock.monotonic()
    if (this.#troubled.size < maxRemembered) this.#troubled.set(keys.stream, keys)
  }

  #noteTaken(keys: StreamKeys): void {
    this.#taken.delete(keys.stream)
    this.#taken.set(keys.stream, keys)
    if (this.#taken.size <= maxRemembered) return
    const oldest = this.#taken.keys().next()
    if (!oldest.done) this.#taken.delete(oldest.value)
  }
}
