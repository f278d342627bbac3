import { Buffer } from 'node:buffer'
import { type Clock, type OutboxError, unavailable } from '@outbox/core'
import { type Acknowledgement, isRecord, isStreamFull, standstillOf } from './answers.ts'
import type { JetStreamApi } from './jetstream.ts'
import type { OutgoingMessage } from './message.ts'

/** What could not be stored, and when. */
interface Refusal {
  readonly bytes: number
  readonly at: number
  /** the stream's own figures have shown it full since */
  wasSeenFull: boolean
}

/** For so long a refusal is believed that no question can confirm; then the next publish tells. */
const believedForMs = 5_000

/** What a stream stores beside subject, headers and data of each message, bytes. */
const recordBytes = 34

/**
 * Want of room: streams that were full, and what they were asked to take; the account or the server without resources;
 * a stream's leader that gets nothing stored, since it has lost the others or has too much to do.
 *
 * It is an outage of its own: the server answers, and nobody's entry is to blame. So the probe asks whether there is
 * room again; without that, every entry would use up its attempts within a minute. Some limits nothing can be asked
 * about, and a stream's figures leave out what is under way.
 */
export class FullStreams {
  readonly #system: string
  readonly #clock: Clock
  readonly #refusals = new Map<string, Refusal>()
  #standstill: { readonly problem: string; readonly at: number } | undefined

  constructor({ system, clock }: { readonly system: string; readonly clock: Clock }) {
    this.#system = system
    this.#clock = clock
  }

  /** Notes a refusal for which nobody's entry is to blame. */
  note(acknowledgement: Acknowledgement, { subject, headers, data }: OutgoingMessage): void {
    if (acknowledgement.kind === 'stored') return
    const at = this.#clock.monotonic()
    const problem = standstillOf(acknowledgement)
    if (problem !== undefined) this.#standstill = { problem, at }
    if (acknowledgement.kind !== 'refused' || !isStreamFull(acknowledgement)) return
    const { stream } = acknowledgement
    if (stream === undefined) return
    const bytes = Buffer.byteLength(subject) + headers.encode().length + data.length + recordBytes
    this.#refusals.set(stream, { bytes, at, wasSeenFull: false })
  }

  /** @throws {OutboxError} `unavailable` while there is no room for what was refused, or nobody can say so */
  async requireRoom(api: JetStreamApi, signal: AbortSignal): Promise<void> {
    if (this.#standstill && this.#isRecent(this.#standstill.at)) throw this.#away(this.#standstill.problem)
    for (const [stream, refusal] of this.#refusals) {
      const answer = await api.request(`STREAM.INFO.${stream}`, undefined, signal)
      if (answer.kind === 'ok' && canHold(answer.body, refusal.bytes)) {
        const isFull = !hasRoom(answer.body, refusal.bytes)
        refusal.wasSeenFull ||= isFull
        if (isFull) throw this.#away(`stream '${stream}' is full`)
        if (!refusal.wasSeenFull && this.#isRecent(refusal.at)) throw this.#away(`stream '${stream}' stores nothing`)
      }
      // whether it has room, is gone or never holds so much: the next publish tells
      this.#refusals.delete(stream)
    }
  }

  #isRecent(at: number): boolean {
    return this.#clock.monotonic() - at < believedForMs
  }

  #away(problem: string): OutboxError<'unavailable'> {
    return unavailable(`${this.#system}: ${problem}.`, { system: this.#system })
  }
}

type Info = Readonly<Record<string, unknown>>

/** Whether an empty stream would have room: else it is the message that is too large. */
function canHold({ config }: Info, bytes: number): boolean {
  const maxBytes = numberIn(config, 'max_bytes')
  return maxBytes <= 0 || bytes <= maxBytes
}

/** A stream that discards what is old makes room. */
function hasRoom({ config, state }: Info, bytes: number): boolean {
  if (isRecord(config) && config['discard'] !== 'new') return true
  const maxMessages = numberIn(config, 'max_msgs')
  const maxBytes = numberIn(config, 'max_bytes')
  if (maxMessages > 0 && numberIn(state, 'messages') >= maxMessages) return false
  return maxBytes <= 0 || numberIn(state, 'bytes') + bytes <= maxBytes
}

function numberIn(from: unknown, key: string): number {
  return isRecord(from) && typeof from[key] === 'number' ? from[key] : 0
}
