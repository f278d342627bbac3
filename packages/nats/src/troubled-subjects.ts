import { type Clock, unavailable } from '@outbox/core'
import { forbiddenSubject, noStream } from './answers.ts'
import { BoundedMap } from './bounded-map.ts'
import * as headerNames from './header-names.ts'
import type { JetStreamApi } from './jetstream.ts'
import { MessageHeaders } from './message-headers.ts'
import type { SubjectFence } from './subject-fence.ts'

/** Subjects that are remembered of either kind; where more are in trouble, these will tell. */
const limit = 16

/** How long a publisher that has published nothing yet believes that what one subject meets, all would; then it tries. */
const trialAfterMs = 30_000

/** A stream's name has no dots: no stream stores what expects this one, and the one that takes the subject says so. */
const noStreamsName = 'no.stream'

/** What a message for a subject meets; `uncovered`: no stream is there for it. */
type Reception = 'taken' | 'forbidden' | 'uncovered'

/**
 * Subjects whose messages nobody took, nobody answered, or the server forbade, for the probe to ask about.
 *
 * In a cluster a stream has a leader of its own. While it has none, for the seconds of an election, and until the other
 * servers know the new one, JetStream answers and knows the stream, its information too is there, and messages for it
 * find nobody. The same holds while the user may not publish. A probe that asks no more than JetStream would let every
 * entry use up its attempts. So it goes where messages go, with one that is sure to be refused. Whoever subscribes to
 * the subject without JetStream sees it, without a body.
 */
export class TroubledSubjects {
  readonly #system: string
  readonly #clock: Clock
  readonly #api: JetStreamApi
  readonly #fence: SubjectFence | undefined
  /** subject → the aggregate type that it was for */
  readonly #troubled = new Map<string, string>()
  /** aggregate type → a subject that was taken: permissions and streams are often given by type */
  readonly #taken = new BoundedMap<string, string>(limit)
  #notedAt = 0

  constructor(
    api: JetStreamApi,
    options: { readonly fence: SubjectFence | undefined; readonly system: string; readonly clock: Clock },
  ) {
    this.#api = api
    this.#fence = options.fence
    this.#system = options.system
    this.#clock = options.clock
  }

  note(aggregateType: string, subject: string): void {
    this.#notedAt = this.#clock.monotonic()
    if (this.#troubled.size < limit) this.#troubled.set(subject, aggregateType)
  }

  /** A stream took a message of this type. */
  noteTaken(aggregateType: string, subject: string): void {
    this.#taken.set(aggregateType, subject)
  }

  /**
   * Asks what each subject in trouble meets now:
   *
   * - A stream takes it: all is well.
   * - No stream covers it: its entries' own trouble, and no outage. But if a subject of the same aggregate type was taken
   *   before and has no stream any more either, a stream is gone, and that is one.
   * - It is forbidden: its entries' own trouble while a subject that was taken before is still allowed; otherwise an
   *   outage. Where none was taken before nobody knows: half a minute after the latest trouble a batch is let through, to
   *   show whether others are allowed, so that one subject does not stop them for ever.
   *
   * @throws {OutboxError} `unavailable` while a stream covers a subject and does not answer there, or is gone;
   *   `setup-required` while what was allowed is forbidden
   */
  async requireTakers(signal: AbortSignal): Promise<void> {
    const forbidden: string[] = []
    const look = async ([subject, aggregateType]: readonly [string, string]): Promise<void> => {
      const reception = await this.#receptionOf(subject, signal)
      if (reception === 'uncovered') await this.#requireStillCovered(aggregateType, subject, signal)
      if (reception === 'forbidden') forbidden.push(subject)
      else this.#troubled.delete(subject)
    }
    await Promise.all([...this.#troubled].map(look))
    const [first] = forbidden
    if (first === undefined) return
    const others = await Promise.all(this.#taken.values.map((subject) => this.#receptionOf(subject, signal)))
    const mayPass = others.includes('taken') || (!others.includes('forbidden') && this.#isTrialDue)
    if (!mayPass) throw forbiddenSubject(first, this.#system)
    for (const subject of forbidden) this.#troubled.delete(subject)
  }

  get #isTrialDue(): boolean {
    return this.#clock.monotonic() - this.#notedAt >= trialAfterMs
  }

  /** @throws {OutboxError} `unavailable` when the stream that took this type is gone, and `subject` is without one too */
  async #requireStillCovered(aggregateType: string, subject: string, signal: AbortSignal): Promise<void> {
    const taken = this.#taken.get(aggregateType)
    if (taken === undefined) return
    const [stream] = await this.#api.streamNames(taken, signal)
    if (stream !== undefined) return
    // by a mapping of the account it may reach a stream that has it under another name
    if ((await this.#api.tryPublish(subject, harmless(), signal)) === 'allowed') return
    throw unavailable(noStream(subject, this.#system), { system: this.#system })
  }

  async #receptionOf(subject: string, signal: AbortSignal): Promise<Reception> {
    const [stream] = await this.#api.streamNames(subject, signal)
    if (stream === undefined) return 'uncovered'
    if ((await this.#api.tryPublish(subject, harmless(), signal)) === 'forbidden') return 'forbidden'
    await this.#fence?.requireReadable(stream, subject, signal)
    return 'taken'
  }
}

function harmless(): MessageHeaders {
  const headers = new MessageHeaders()
  headers.set(headerNames.expectedStream, noStreamsName)
  return headers
}
