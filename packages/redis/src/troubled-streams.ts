import type { PublishOutcome } from '@outbox/core'
import type { StreamKeys } from './keys.ts'

/** Streams that are remembered; where more are in trouble, the server as a whole is, and these will tell. */
const limit = 16

/**
 * Streams that could not be written to, for the probe to ask about.
 *
 * With a stream function, a publisher writes to many, and in a cluster each may be on another node: one that answers
 * says nothing of the others. A stream is forgotten once something else comes of it.
 */
export class TroubledStreams {
  readonly #keys = new Map<string, StreamKeys>()

  note(keys: StreamKeys, outcomes: readonly (PublishOutcome | undefined)[]): void {
    const isTroubled = outcomes.some((outcome) => outcome?.status === 'unavailable' || outcome?.status === 'unknown')
    if (!isTroubled) this.#keys.delete(keys.stream)
    else if (this.#keys.size < limit) this.#keys.set(keys.stream, keys)
  }

  get all(): readonly StreamKeys[] {
    return [...this.#keys.values()]
  }

  /** They answered: the next publish tells whether they are well. */
  forget(streams: readonly StreamKeys[]): void {
    for (const { stream } of streams) this.#keys.delete(stream)
  }
}
