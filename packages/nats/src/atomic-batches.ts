import { randomUUID } from 'node:crypto'
import type { DueEntry, PublishOutcome } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import type { Acknowledgement } from './answers.ts'
import * as headerNames from './header-names.ts'
import type { OutgoingMessage } from './message.ts'
import { type NatsSettings, ownApiPrefix } from './options.ts'
import type { Replies } from './replies.ts'

/** What the server takes in one batch, unless it is told otherwise: then it refuses more, and they go one by one. */
const maxMessages = 1_000
const oldestVersion = '2.12'

/** The server that is connected to, and where JetStream is asked for from there. */
type Whereabouts = Pick<NatsSettings, 'connection' | 'apiPrefix'>

export interface AtomicBatchesOptions extends Whereabouts {
  readonly replies: Replies
  /** may throw for an entry that cannot be sent */
  readonly compose: (entry: DueEntry, batchHeaders: ReadonlyMap<string, string>) => OutgoingMessage
  /** reads a reply; undefined if it is no acknowledgement for us */
  readonly read: (data: Uint8Array) => Acknowledgement | undefined
  /** told of one entry of each batch that is stored */
  readonly noteTaken: (entry: DueEntry, message: OutgoingMessage) => void
  /** the other way to publish: per aggregate, one message at a time */
  readonly oneByOne: (entries: readonly DueEntry[], signal: AbortSignal) => Promise<readonly PublishOutcome[]>
}

/** How one batch ended; nothing of it is stored unless all is. */
type BatchAnswer =
  | { readonly kind: 'stored' }
  | { readonly kind: 'notStored' }
  | { readonly kind: 'unanswered'; readonly error: Error }

/**
 * Whether the server knows batches: an older one would store their messages one by one, with gaps if some fail.
 *
 * The server of another API need not be the one that is connected to: there, only the stream's `allow_atomic` can tell.
 */
export function mayKnowBatches({ connection: { info }, apiPrefix }: Whereabouts): boolean {
  if (apiPrefix !== ownApiPrefix) return true
  return info !== undefined && info.version.localeCompare(oldestVersion, 'en', { numeric: true }) >= 0
}

/**
 * Publishes entries for one stream in atomic batches: one acknowledgement for all that one call has.
 *
 * A batch that is refused (a repeat in it, one message too large, too many batches at once) has stored nothing, and its
 * entries go one by one, so that each has the outcome it deserves. One that is not answered may have been stored: its
 * entries go one by one too, where the connection still stands, and are `unknown` unless that shows them published.
 */
export async function publishInBatches(
  entries: readonly DueEntry[],
  signal: AbortSignal,
  options: AtomicBatchesOptions,
): Promise<readonly PublishOutcome[]> {
  const outcomes = new Array<PublishOutcome>(entries.length).fill({ status: 'notSent' })
  const stopped = new Set<string>()
  for (let from = 0; from < entries.length && !signal.aborted; from += maxMessages) {
    const batch = entries
      .slice(from, from + maxMessages)
      .map((entry, place) => ({ entry, index: from + place }))
      .filter(({ entry }) => !stopped.has(aggregateKey(entry)))
    const sent = await publishBatch(
      batch.map(({ entry }) => entry),
      signal,
      options,
    )
    for (const [place, { entry, index }] of batch.entries()) {
      const outcome = sent[place] ?? { status: 'notSent' }
      outcomes[index] = outcome
      if (outcome.status !== 'published') stopped.add(aggregateKey(entry))
    }
  }
  return outcomes
}

async function publishBatch(
  entries: readonly DueEntry[],
  signal: AbortSignal,
  options: AtomicBatchesOptions,
): Promise<readonly PublishOutcome[]> {
  // a batch of one is slower than a message
  if (entries.length < 2 || !mayKnowBatches(options)) return options.oneByOne(entries, signal)
  const answer = await sendBatch(entries, signal, options)
  if (answer.kind === 'stored') return entries.map(() => ({ status: 'published' }))
  if (answer.kind === 'notStored') return options.oneByOne(entries, signal)
  const unknown: PublishOutcome = { status: 'unknown', error: answer.error }
  if (signal.aborted || options.replies.fault() !== undefined) return entries.map(() => unknown)
  const outcomes = await options.oneByOne(entries, signal)
  return outcomes.map((outcome) => (outcome.status === 'published' ? outcome : unknown))
}

async function sendBatch(
  entries: readonly DueEntry[],
  signal: AbortSignal,
  { connection, replies, compose, read, noteTaken }: AtomicBatchesOptions,
): Promise<BatchAnswer> {
  if (signal.aborted || replies.fault() !== undefined) return { kind: 'notStored' }
  const id = randomUUID()
  let messages: readonly OutgoingMessage[]
  try {
    messages = entries.map((entry, place) => compose(entry, batchHeaders(id, place + 1, place + 1 === entries.length)))
  } catch {
    return { kind: 'notStored' } // one by one it is told whose fault it is
  }
  const [last, lastEntry] = [messages.at(-1), entries.at(-1)]
  if (!last || !lastEntry) return { kind: 'notStored' }
  try {
    for (const { subject, data, headers } of messages.slice(0, -1)) connection.publish(subject, data, { headers })
  } catch {
    return { kind: 'notStored' } // never committed: the server forgets it in ten seconds
  }
  const answer = await replies.ask(last, signal, read)
  if (answer.kind === 'unanswered') return answer
  if (answer.kind !== 'reply' || !isWhole(answer.reply, entries.length)) return { kind: 'notStored' }
  noteTaken(lastEntry, last)
  return { kind: 'stored' }
}

function batchHeaders(id: string, sequence: number, isLast: boolean): ReadonlyMap<string, string> {
  return new Map([
    [headerNames.batchId, id],
    [headerNames.batchSequence, String(sequence)],
    ...(isLast ? [[headerNames.batchCommit, '1'] as const] : []),
  ])
}

/** Whether an acknowledgement is of a batch, and of all of it. */
function isWhole(acknowledgement: Acknowledgement, count: number): boolean {
  return acknowledgement.kind === 'stored' && acknowledgement.batchCount === count
}
