import * as headerNames from './header-names.ts'
import type { JetStreamApi } from './jetstream.ts'
import { MessageHeaders } from './message-headers.ts'

/** Subjects that are remembered; where more are in trouble, these will tell. */
const limit = 16

/** A stream's name has no dots: no stream stores what expects this one, and the one that takes the subject says so. */
const noStreamsName = 'no.stream'

/**
 * Subjects whose messages nobody took, or nobody answered, for the probe to ask about.
 *
 * In a cluster a stream has a leader of its own. While it has none, for the seconds of an election, and until the other
 * servers know the new one, JetStream answers and knows the stream, its information too is there, and messages for it
 * find nobody: a probe that asks no more than that would let every entry use up its attempts. So it goes where messages
 * go, with one that is sure to be refused. Whoever subscribes to the subject without JetStream sees it, without a body.
 */
export class SilentSubjects {
  readonly #subjects = new Set<string>()

  note(subject: string): void {
    if (this.#subjects.size < limit) this.#subjects.add(subject)
  }

  /**
   * A subject that no stream covers is its entries' own trouble, and fails nothing.
   *
   * @throws {OutboxError} `unavailable` while a stream covers a subject and does not answer there
   */
  async requireTakers(api: JetStreamApi, signal: AbortSignal): Promise<void> {
    await Promise.all(
      [...this.#subjects].map(async (subject) => {
        const [stream] = await api.streamNames(subject, signal)
        if (stream !== undefined) await api.requireReply(subject, harmless(), signal)
        this.#subjects.delete(subject)
      }),
    )
  }
}

function harmless(): MessageHeaders {
  const headers = new MessageHeaders()
  headers.set(headerNames.expectedStream, noStreamsName)
  return headers
}
