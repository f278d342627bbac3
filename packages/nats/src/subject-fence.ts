import { type Clock, type DueEntry, OutboxError, type PublishOutcome } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import { encodeHeaderValue } from '@outbox/core/wire'
import { type Acknowledgement, outcomeWithoutReply, wrongLastSequence } from './answers.ts'
import { BoundedMap } from './bounded-map.ts'
import * as headerNames from './header-names.ts'
import type { JetStreamApi } from './jetstream.ts'
import type { OutgoingMessage } from './message.ts'
import type { Replies } from './replies.ts'
import { type StoredMessage, storedMessageFrom } from './stored-message.ts'
import type { StreamFinder } from './stream-finder.ts'

/** What is known of an aggregate's last message. */
interface LastKnown {
  readonly subject: string
  readonly streamSequence: number
  /** the highest sequence of the aggregate on its subject; -1 for none */
  readonly highest: number
  /** the highest epoch that it was written under here, and the outbox whose epoch that is */
  readonly epoch: number
  readonly source: string
}

type Finding =
  /** nothing speaks against writing behind this stream sequence */
  | { readonly kind: 'free'; readonly streamSequence: number; readonly highest: number }
  | { readonly kind: 'settled'; readonly outcome: PublishOutcome }

/** Another message stands last on the subject than the one that we know: which one, where the server says so. */
interface Crossed {
  readonly status: 'crossed'
  readonly last: { readonly stream: string; readonly streamSequence: number } | undefined
}

/** Writes that may cross before this one is given back: each time, somebody else wrote in between. */
const maxCrossings = 5
/** Messages read backwards in search of an entry that may be stored. What is not found is sent: repeated, never lost. */
const maxLookBack = 256
/** JetStream's `err_code` for a sequence or subject that has no message. */
const noMessage = 10_037
/** For so long a subject is believed to have another name in its stream; then the next publish tells. */
const renamedForMs = 30_000

export interface SubjectFenceOptions {
  readonly replies: Replies
  readonly api: JetStreamApi
  readonly streams: StreamFinder
  readonly cacheSize: number
  /**
   * how long messages are read backwards in search of an entry; then it counts as not found. A search that did not fit
   * into the call would end as not sent each time, and its aggregate would stand still for ever
   */
  readonly lookBackMs: number
  readonly clock: Clock
  readonly system: string
  /** reads a reply; undefined if it is no acknowledgement for us */
  readonly read: (data: Uint8Array) => Acknowledgement | undefined
  /** turns an acknowledgement into an outcome */
  readonly conclude: (acknowledgement: Acknowledgement, message: OutgoingMessage) => PublishOutcome
}

/**
 * Sends each message on condition that the last one on its subject is the one that we know.
 *
 * A message that arrives late, from a relay that lost its lease or from a buffer, is refused once anything newer
 * stands on the subject. A refusal, and a first use, read the subject's last message: a newer epoch there means
 * `fenced`; an entry that is stored already, found by its id behind the later ones, is `published`. So an entry is
 * stored once, whatever became of earlier attempts, also when the dedupe window is over.
 *
 * Any number of aggregates may be sent at once, one entry at a time each.
 */
export class SubjectFence {
  readonly #options: SubjectFenceOptions
  readonly #lastKnown: BoundedMap<string, LastKnown>
  #renamed: { readonly error: OutboxError<'setup-required'>; readonly at: number } | undefined

  constructor(options: SubjectFenceOptions) {
    this.#options = options
    this.#lastKnown = new BoundedMap(options.cacheSize)
  }

  async send(entry: DueEntry, message: OutgoingMessage, signal: AbortSignal): Promise<PublishOutcome> {
    let last: Crossed['last']
    for (let crossing = 0; crossing < maxCrossings; crossing++) {
      const finding = this.#fromMemory(entry, message.subject) ?? (await this.#look(entry, message, signal))
      if (finding.kind === 'settled') return finding.outcome
      const outcome = await this.#sendBehind(finding, entry, message, signal)
      if (outcome.status !== 'crossed') return outcome
      last = outcome.last
    }
    return this.#outcomeOfCrossings(message.subject, last, signal)
  }

  /** @throws {OutboxError} `setup-required` where a stream has been seen to store a subject under another name just now */
  requireOwnNames(): void {
    const { clock } = this.#options
    if (this.#renamed && clock.monotonic() - this.#renamed.at < renamedForMs) throw this.#renamed.error
  }

  /** Reads what a first write to the subject reads. @throws {OutboxError} `setup-required`, or `unavailable` */
  async requireReadable(stream: string, subject: string, signal: AbortSignal): Promise<void> {
    await this.#messageOf(stream, { last_by_subj: subject }, signal)
  }

  #fromMemory(entry: DueEntry, subject: string): Finding | undefined {
    const known = this.#lastKnown.get(aggregateKey(entry))
    if (known?.source !== entry.source) return undefined
    if (known.subject !== subject) {
      const text = `${this.#options.system}: ${entry.aggregateType} has the subjects '${known.subject}' and '${subject}' for one aggregate; fence: 'subject' needs one.`
      return { kind: 'settled', outcome: { status: 'retry', error: new Error(text) } }
    }
    if (known.epoch > entry.lease.epoch) {
      return { kind: 'settled', outcome: { status: 'fenced', epoch: known.epoch } }
    }
    // one that is not above all others may be stored behind them
    return entry.sequence > known.highest ? { kind: 'free', ...known } : undefined
  }

  async #sendBehind(
    last: { readonly streamSequence: number; readonly highest: number },
    entry: DueEntry,
    message: OutgoingMessage,
    signal: AbortSignal,
  ): Promise<PublishOutcome | Crossed> {
    const { replies, streams, system, read, conclude } = this.#options
    const { subject, headers, data } = message
    const key = aggregateKey(entry)
    const highest = Math.max(last.highest, entry.sequence)
    headers.set(headerNames.expectedLastSubjectSequence, String(last.streamSequence))
    headers.set(headerNames.previous, String(last.streamSequence))
    headers.set(headerNames.highest, String(highest))
    const answer = await replies.ask({ subject, headers, data }, signal, read)
    if (answer.kind !== 'reply') {
      if (answer.kind === 'unanswered') this.#lastKnown.delete(key)
      return outcomeWithoutReply(answer, subject, system)
    }
    const acknowledgement = answer.reply
    if (acknowledgement.kind === 'stored' && !acknowledgement.isDuplicate) {
      const { sequence: streamSequence } = acknowledgement
      this.#lastKnown.set(key, { subject, streamSequence, highest, epoch: entry.lease.epoch, source: entry.source })
    } else {
      this.#lastKnown.delete(key) // a duplicate need not be the last on its subject
    }
    if (acknowledgement.kind !== 'refused' || !wrongLastSequence.has(acknowledgement.code)) {
      return conclude(acknowledgement, message)
    }
    streams.forget() // the subject may have moved to another stream than the one that was looked into
    const [, sequence] = /wrong last sequence: ([1-9]\d*)/.exec(acknowledgement.description) ?? []
    const { stream } = acknowledgement
    const isTold = stream !== undefined && sequence !== undefined
    return { status: 'crossed', last: isTold ? { stream, streamSequence: Number(sequence) } : undefined }
  }

  /** Others write to the subject; or the stream has it under another name, by a mapping, and no look finds what is there. */
  async #outcomeOfCrossings(subject: string, last: Crossed['last'], signal: AbortSignal): Promise<PublishOutcome> {
    const { system, clock } = this.#options
    try {
      const message = last && (await this.#messageOf(last.stream, { seq: last.streamSequence }, signal))
      if (last === undefined || message === undefined || message.subject === subject) {
        const text = `${system}: others keep writing to '${subject}', which fence: 'subject' needs for one aggregate.`
        return { status: 'retry', error: new Error(text) }
      }
      const missing = `stream '${last.stream}' stores '${subject}' as '${message.subject}', where fence: 'subject' does not find it`
      const text = `${system}: ${missing}. Take out the mapping, or publish to '${message.subject}'.`
      const error = new OutboxError('setup-required', text, { missing: [missing] })
      this.#renamed = { error, at: clock.monotonic() }
      return { status: 'unavailable', error }
    } catch (error) {
      return outcomeOfLook(error, signal)
    }
  }

  /** Reads the subject's last message, and those before it as far as needed. */
  async #look(entry: DueEntry, message: OutgoingMessage, signal: AbortSignal): Promise<Finding> {
    const { subject, messageId } = message
    try {
      const stream = await this.#options.streams.streamOf(subject, signal)
      const last = await this.#messageOf(stream, { last_by_subj: subject }, signal)
      if (!last) return { kind: 'free', streamSequence: 0, highest: -1 }
      if (isNewer(last, entry)) return { kind: 'settled', outcome: fencedBy(last) }
      if (await this.#isStored(messageId, entry.sequence, last, stream, signal)) {
        return { kind: 'settled', outcome: { status: 'published', duplicate: true } }
      }
      return { kind: 'free', streamSequence: last.streamSequence, highest: last.highest ?? -1 }
    } catch (error) {
      return { kind: 'settled', outcome: outcomeOfLook(error, signal) }
    }
  }

  async #isStored(
    messageId: string,
    sequence: number,
    last: StoredMessage,
    stream: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { clock, lookBackMs } = this.#options
    const endsAt = clock.monotonic() + lookBackMs
    let message: StoredMessage | undefined = last
    for (let read = 1; message && read <= maxLookBack; read++) {
      if (message.messageId === messageId) return true
      // behind this one there are only lower sequences, or messages that tell nothing of themselves
      if (message.highest === undefined || message.highest < sequence || !message.previous) return false
      if (clock.monotonic() >= endsAt) return false
      message = await this.#messageOf(stream, { seq: message.previous }, signal)
    }
    return false
  }

  async #messageOf(
    stream: string,
    which: { readonly last_by_subj: string } | { readonly seq: number },
    signal: AbortSignal,
  ): Promise<StoredMessage | undefined> {
    const { api, streams } = this.#options
    // the stream's leader answers this; a direct get may come from a follower that is behind
    const path = `STREAM.MSG.GET.${stream}`
    const answer = await api.request(path, which, signal)
    if (answer.kind === 'ok') return storedMessageFrom(answer.body)
    if (answer.kind === 'refused' && answer.refusal.code === noMessage) return undefined
    streams.forget()
    throw api.notThere(path, answer)
  }
}

/**
 * Whether a message was written under a lease that ended the entry's own, or by the other of two holders of one epoch. A
 * store without leases lends under epoch 0, under another name after each start.
 */
function isNewer(message: StoredMessage, { lease, source }: DueEntry): boolean {
  if (message.epoch === undefined || message.source !== source || message.partition !== lease.partition) return false
  if (message.epoch === lease.epoch) return lease.epoch > 0 && message.holder !== lease.holder
  return message.epoch > lease.epoch
}

function fencedBy({ epoch }: StoredMessage): PublishOutcome {
  return epoch === undefined ? { status: 'fenced' } : { status: 'fenced', epoch }
}

/** Nothing was sent when a look at the subject fails. */
function outcomeOfLook(error: unknown, signal: AbortSignal): PublishOutcome {
  if (signal.aborted) return { status: 'notSent' }
  const isOutage = OutboxError.is(error, 'unavailable') || OutboxError.is(error, 'setup-required')
  return { status: isOutage ? 'unavailable' : 'retry', error }
}

/** The headers by which a later look tells who wrote a message. */
export function addFenceHeaders({ headers }: OutgoingMessage, { lease, source }: DueEntry): void {
  headers.set(headerNames.source, encodeHeaderValue(source))
  headers.set(headerNames.partition, String(lease.partition))
  headers.set(headerNames.holder, encodeHeaderValue(lease.holder))
}
