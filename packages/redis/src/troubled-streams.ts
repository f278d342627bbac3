import type { Clock, PublishOutcome } from '@outbox/core'
import type { StreamKeys } from './keys.ts'

/** Streams that are remembered of either kind; where more are in trouble, the server as a whole is, and these will tell. */
const limit = 16

/** How long a publisher that has published nothing yet believes that what one stream meets, all would; then it tries. */
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
  readonly #written = new Map<string, StreamKeys>()

  readonly #clock: Pick<Clock, 'monotonic'>
  #notedAt = 0

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  note(keys: StreamKeys, outcomes: readonly (PublishOutcome | undefined)[]): void {
    const has = (status: PublishOutcome['status']): boolean => outcomes.some((outcome) => outcome?.status === status)
    if (has('published')) this.#noteWritten(keys)
    if (has('unavailable') || has('unknown')) this.#noteTroubled(keys)
    else this.#troubled.delete(keys.stream)
  }

  get all(): readonly StreamKeys[] {
    return [...this.#troubled.values()]
  }

  /** Streams that took entries, the latest ones: they may be in trouble now. */
  get written(): readonly StreamKeys[] {
    return [...this.#written.values()]
  }

  /** Whether none is in trouble anew since a while: then the next batch may show whether others are well. */
  get isTrialDue(): boolean {
    return this.#clock.monotonic() - this.#notedAt >= trialAfterMs
  }

  /** They answered: the next publish tells whether they are well. */
  forget(streams: readonly StreamKeys[]): void {
    for (const { stream } of streams) this.#troubled.delete(stream)
  }

  #noteTroubled(keys: StreamKeys): void {
    this.#notedAt = this.#clock.monotonic()
    if (this.#troubled.size < limit) this.#troubled.set(keys.stream, keys)
  }

  #noteWritten(keys: StreamKeys): void {
    this.#written.delete(keys.stream)
    this.#written.set(keys.stream, keys)
    if (this.#written.size <= limit) return
    const oldest = this.#written.keys().next()
    if (!oldest.done) this.#written.delete(oldest.value)
  }
}
