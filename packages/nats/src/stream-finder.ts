import { unavailable } from '@outbox/core'
import { noStream } from './answers.ts'
import type { JetStreamApi } from './jetstream.ts'

/** Finds the stream that takes a subject, and remembers the answer while there is only one for all subjects. */
export class StreamFinder {
  readonly #api: JetStreamApi
  readonly #given: string | undefined
  readonly #wildcard: string | undefined
  readonly #system: string
  #only: string | undefined

  /** @param options.wildcard - matches every subject that will be asked for; undefined if there is none such */
  constructor(
    api: JetStreamApi,
    options: { readonly stream: string | undefined; readonly wildcard: string | undefined; readonly system: string },
  ) {
    this.#api = api
    this.#given = options.stream
    this.#wildcard = options.wildcard
    this.#system = options.system
  }

  /** @throws {OutboxError} `unavailable` when no stream takes the subject, or nobody answers */
  async streamOf(subject: string, signal: AbortSignal): Promise<string> {
    const known = this.#given ?? this.#only
    if (known !== undefined) return known
    if (this.#wildcard !== undefined) {
      const all = await this.#api.streamNames(this.#wildcard, signal)
      if (all.length === 1) this.#only = all[0]
      if (this.#only !== undefined) return this.#only
    }
    const [stream] = await this.#api.streamNames(subject, signal)
    if (stream === undefined) throw unavailable(noStream(subject, this.#system), { system: this.#system })
    return stream
  }

  /** Looks again next time. */
  forget(): void {
    this.#only = undefined
  }
}
