import { type DueEntry, type Publisher, type PublishOutcome, permanent } from '@outbox/core'
import { called, publishInOrder, refusal } from '@outbox/core/adapter'
import { type Acknowledgement, acknowledgementFrom, outcomeOfAcknowledgement, outcomeWithoutReply } from './answers.ts'
import { publishInBatches } from './atomic-batches.ts'
import { checkSetup } from './check.ts'
import type { NatsConnectionLike } from './connection.ts'
import { FullStreams } from './full-streams.ts'
import { insist } from './insist.ts'
import { JetStreamApi } from './jetstream.ts'
import { messageOf, type OutgoingMessage } from './message.ts'
import { type NatsPublisherOptions, settingsFrom } from './options.ts'
import { probeStreams } from './probe.ts'
import { Replies } from './replies.ts'
import { StreamFinder } from './stream-finder.ts'
import { checkedSubject } from './subject.ts'
import { addFenceHeaders, SubjectFence } from './subject-fence.ts'
import { TroubledSubjects } from './troubled-subjects.ts'

/** Room for the headers of an ordinary message, in bytes; each message is measured exactly when it is written. */
const headerRoomBytes = 1024

/** A record in a stream's file is no larger: older servers acknowledge one that is, and nobody can read it. */
const largestRecordBytes = 32 * 1024 * 1024

export interface NatsPublisher extends Publisher, AsyncDisposable {
  /**
   * Ends the subscription to the replies and the watch on the connection, which stays open. What is under way becomes
   * `unknown`; later publishes are `unavailable`. A second call does nothing.
   */
  close(): Promise<void>
}

/**
 * Makes a publisher to NATS JetStream, through your connection.
 *
 * An entry counts as published when its stream has acknowledged it. Within a batch aggregates are sent side by side,
 * up to `maxInFlight`, the entries of one aggregate one after the other; an aggregate stops at its first failure.
 * Within the stream's `duplicate_window` a repeat is dropped. With `fence: 'subject'` an entry is stored once, and the
 * late write of a relay that lost its lease is refused.
 *
 * Nothing is sent while the connection is down: the outcome is `unavailable`, and nothing stays in the client's buffer.
 * Any number of calls may run at once, with different aggregates.
 *
 * @throws {OutboxError} `invalid-option`, saying what to write instead
 *
 * @example
 * ```ts
 * const connection = await connect({ servers: 'nats://127.0.0.1:4222' })
 * natsPublisher({ connection, subject: 'events.{aggregateType}.{aggregateId}.{eventType}' })
 * ```
 */
export function natsPublisher(options: NatsPublisherOptions): NatsPublisher {
  const settings = settingsFrom(options)
  const { connection, name: system, inboxPrefix, ackTimeoutMs, clock, stream } = settings
  const replies = new Replies({ connection, system, inboxPrefix, timeoutMs: ackTimeoutMs, clock })
  const api = new JetStreamApi(replies, { prefix: settings.apiPrefix, system })
  const streams = new StreamFinder(api, { stream, wildcard: settings.template?.wildcard, system })
  const fullStreams = new FullStreams({ system, clock })
  const read = (data: Uint8Array): Acknowledgement | undefined => acknowledgementFrom(data, settings.domain)
  const conclude = (acknowledgement: Acknowledgement, message: OutgoingMessage): PublishOutcome => {
    fullStreams.note(acknowledgement, message)
    return outcomeOfAcknowledgement(acknowledgement, system)
  }
  const { fenceCacheSize: cacheSize } = settings
  const fence =
    settings.fence === 'subject'
      ? new SubjectFence({ replies, api, streams, cacheSize, lookBackMs: ackTimeoutMs, clock, system, read, conclude })
      : undefined
  const troubledSubjects = new TroubledSubjects(api, { fence, system, clock })
  let dedupeWindowMs: number | undefined

  const compose = (entry: DueEntry, batchHeaders: ReadonlyMap<string, string> = new Map()): OutgoingMessage => {
    const subject = checkedSubject(
      called('subject of natsPublisher', () => settings.subjectOf(entry)),
      system,
    )
    const { format, messageIdSuffix } = settings
    const message = messageOf(entry, subject, { format, expectedStream: stream, messageIdSuffix, batchHeaders })
    if (fence) addFenceHeaders(message, entry)
    requireSize(message, connection, system)
    return message
  }

  const noteTaken = ({ aggregateType }: DueEntry, { subject }: OutgoingMessage): void =>
    troubledSubjects.noteTaken(aggregateType, subject)

  const sendOne = async (entry: DueEntry, signal: AbortSignal): Promise<PublishOutcome> => {
    let message: OutgoingMessage
    try {
      message = compose(entry)
    } catch (error) {
      return refusal(error)
    }
    const outcome = await insist(() => sendOnce(entry, message, signal), {
      clock,
      ackTimeoutMs,
      signal,
      isConnected: () => replies.fault() === undefined,
    })
    if (outcome.status === 'published') noteTaken(entry, message)
    if (outcome.status === 'unavailable' || outcome.status === 'unknown') {
      troubledSubjects.note(entry.aggregateType, message.subject)
    }
    return outcome
  }

  const sendOnce = async (entry: DueEntry, message: OutgoingMessage, signal: AbortSignal): Promise<PublishOutcome> => {
    if (fence) return fence.send(entry, message, signal)
    const answer = await replies.ask(message, signal, read)
    return answer.kind === 'reply'
      ? conclude(answer.reply, message)
      : outcomeWithoutReply(answer, message.subject, system)
  }

  const oneByOne = (entries: readonly DueEntry[], signal: AbortSignal): Promise<readonly PublishOutcome[]> =>
    publishInOrder(entries, { width: settings.maxInFlight, signal }, (entry) => sendOne(entry, signal))

  const close = async (): Promise<void> => replies.close()

  return {
    name: system,

    get capabilities() {
      const maxPayloadBytes = maxPayloadBytesOf(connection)
      return {
        keepsOrderInBatch: true,
        ...(maxPayloadBytes === undefined ? {} : { maxPayloadBytes }),
        ...(dedupeWindowMs === undefined ? {} : { dedupeWindowMs }),
      }
    },

    publish: (entries, { signal }) =>
      settings.batch === 'none'
        ? oneByOne(entries, signal)
        : publishInBatches(entries, signal, { ...settings, replies, compose, read, noteTaken, oneByOne }),

    async check({ retryHorizonMs, signal = new AbortController().signal }) {
      const found = await checkSetup(settings, replies, api, { fence, retryHorizonMs, signal })
      dedupeWindowMs = found.dedupeWindowMs
      return found.warnings
    },

    probe: ({ signal = new AbortController().signal }) =>
      probeStreams(settings, api, { fullStreams, troubledSubjects, fence }, signal),

    close,
    [Symbol.asyncDispose]: close,
  }
}

function maxPayloadBytesOf({ info }: NatsConnectionLike): number | undefined {
  return info && Math.max(0, Math.min(info.max_payload, largestRecordBytes) - headerRoomBytes)
}

function requireSize({ bytes, data }: OutgoingMessage, connection: NatsConnectionLike, system: string): void {
  const maxDataBytes = maxPayloadBytesOf(connection)
  if (maxDataBytes === undefined || connection.info === undefined) return
  const { max_payload: maxBytes } = connection.info
  if (bytes <= Math.min(maxBytes, largestRecordBytes) && data.length <= maxDataBytes) return
  throw permanent(
    `The message is ${bytes} bytes, ${data.length} of them its body; the server's max_payload is ${maxBytes}, of which ${headerRoomBytes} are for headers, and a stream takes 32 MiB at most. Raise it, or enqueue less.`,
    { system },
  )
}
