import { unavailable } from '@outbox/core'
import { type Acknowledgement, isRecord, isStreamFull } from './answers.ts'
import type { JetStreamApi } from './jetstream.ts'

/**
 * Streams that had no room, and what they were asked to take.
 *
 * A full stream is an outage of its own: the server answers, and nobody's entry is to blame. So the probe asks whether
 * there is room again; without that, every entry would use up its attempts within a minute.
 */
export class FullStreams {
  readonly #system: string
  /** stream → bytes of the message that did not fit */
  readonly #refusedBytes = new Map<string, number>()

  constructor(system: string) {
    this.#system = system
  }

  /** Notes a refusal for want of room. */
  note(acknowledgement: Acknowledgement, bytes: number): void {
    if (acknowledgement.kind === 'refused' && acknowledgement.stream !== undefined && isStreamFull(acknowledgement)) {
      this.#refusedBytes.set(acknowledgement.stream, bytes)
    }
  }

  /** @throws {OutboxError} `unavailable` while a stream that was full has no room for what it refused */
  async requireRoom(api: JetStreamApi, signal: AbortSignal): Promise<void> {
    for (const [stream, bytes] of this.#refusedBytes) {
      const answer = await api.request(`STREAM.INFO.${stream}`, undefined, signal)
      if (answer.kind === 'ok' && !hasRoom(answer.body, bytes)) {
        throw unavailable(`${this.#system}: stream '${stream}' is full.`, { system: this.#system })
      }
      // whether it has room or is gone: the next publish tells
      this.#refusedBytes.delete(stream)
    }
  }
}

function hasRoom({ config, state }: Readonly<Record<string, unknown>>, bytes: number): boolean {
  const number = (from: unknown, key: string): number =>
    isRecord(from) && typeof from[key] === 'number' ? from[key] : 0
  const maxMessages = number(config, 'max_msgs')
  const maxBytes = number(config, 'max_bytes')
  if (maxMessages > 0 && number(state, 'messages') >= maxMessages) return false
  return maxBytes <= 0 || number(state, 'bytes') + bytes < maxBytes
}
