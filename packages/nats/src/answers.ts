import { OutboxError, type PublishOutcome, permanent, unavailable } from '@outbox/core'
import type { NoReply } from './replies.ts'

/** What JetStream says about one published message. */
export type Acknowledgement =
  | {
      readonly kind: 'stored'
      readonly stream: string
      readonly sequence: number
      readonly isDuplicate: boolean
      readonly batchCount: number | undefined
    }
  /** the stream's leader has a message with this id under way, and may still drop it */
  | { readonly kind: 'inProcess'; readonly description: string }
  | {
      readonly kind: 'refused'
      /** the `err_code`; where there is none, the general one, such as 503 */
      readonly code: number
      readonly description: string
      /** undefined where the server does not say */
      readonly stream: string | undefined
    }

/** JetStream's `err_code` for an expectation about the last sequence that did not hold; the second since 2.11. */
export const wrongLastSequence: ReadonlySet<number> = new Set([10_071, 10_164])

type Verdict = 'reject' | 'unavailable'

/**
 * JetStream's `err_code`s that mean more than "not this time". All others are `retry`: among them a missing stream
 * (10059), another stream than expected (10060), a sealed one (10109), and of 10077 a limit per subject.
 */
const verdicts: ReadonlyMap<number, Verdict> = new Map([
  [10_054, 'reject'], // message size exceeds the stream's maximum
  [10_097, 'reject'], // header size exceeds maximum allowed of 64k
  [10_008, 'unavailable'], // JetStream system temporarily unavailable
  [10_009, 'unavailable'], // JetStream cluster: not leader
  [10_039, 'unavailable'], // JetStream not enabled for account
  [10_076, 'unavailable'], // JetStream not enabled
])

/** Account or server have no room for anybody: its limit, insufficient resources, memory, storage. */
const outOfResources: ReadonlySet<number> = new Set([10_002, 10_023, 10_028, 10_047])

/** The stream's leader takes nothing now: it has lost its cluster (503, without an `err_code`), or too many wait for it. */
const takesNothing: ReadonlySet<number> = new Set([503, 10_167])

/** A message with the same id is being stored at this moment. */
const idInProcess = 10_158

/** The store's refusal: no room (in the whole stream, or on one subject), or a disk that fails. */
const storeFailed = 10_077

/** The stream is another than the message expects. */
const wrongStream = 10_060

const hints: ReadonlyMap<number, string> = new Map([
  [wrongStream, "the subject belongs to another stream than option 'stream' says"],
  [10_002, 'the account has reached its limit: raise it, or delete what was consumed'],
  [storeFailed, 'the stream takes no more: raise its limits, or let consumers catch up'],
  [10_109, 'the stream is sealed, and takes no messages'],
])

/** The client's own refusals to publish, by `code` (2.x) or `name` (3.x). */
const clientFaults: ReadonlyMap<string, Verdict> = new Map([
  ['MAX_PAYLOAD_EXCEEDED', 'reject'],
  ['BAD_SUBJECT', 'reject'],
  ['InvalidSubjectError', 'reject'],
  ['CONNECTION_CLOSED', 'unavailable'],
  ['CONNECTION_DRAINING', 'unavailable'],
  ['ClosedConnectionError', 'unavailable'],
  ['DrainingConnectionError', 'unavailable'],
])

/** The outcome of an entry whose answer is no reply of JetStream's. */
export function outcomeWithoutReply(answer: NoReply, subject: string, system: string): PublishOutcome {
  switch (answer.kind) {
    case 'noResponders':
      return { status: 'unavailable', error: unavailable(noStream(subject, system), { system }) }
    case 'forbidden':
      return { status: 'unavailable', error: forbiddenSubject(subject, system, answer.error) }
    case 'notConnected':
      return { status: 'unavailable', error: answer.error }
    case 'callerGone':
      return { status: 'notSent' }
    case 'clientRefused':
      return outcomeOfClientFault(answer.error, system)
    case 'unanswered':
      return { status: 'unknown', error: answer.error }
  }
}

/** What the user may not do, and a person has to allow. */
export function forbiddenSubject(subject: string, system: string, cause?: unknown): OutboxError<'setup-required'> {
  return new OutboxError(
    'setup-required',
    `${system}: the NATS user may not publish to '${subject}'. Allow it in the user's permissions.`,
    { missing: [`permission to publish to ${subject}`] },
    cause === undefined ? undefined : { cause },
  )
}

/** What a message for a subject that nobody listens on comes back with. */
export function noStream(subject: string, system: string): string {
  return `${system}: no stream takes subject '${subject}' (503, no responders). Add a stream that covers it, or look whether JetStream runs and the stream has a leader.`
}

/** The outcome of an entry whose message the client would not send. */
function outcomeOfClientFault(error: unknown, system: string): PublishOutcome {
  const { code, name, message } = describe(error)
  const isTooLarge = name === 'InvalidArgumentError' && message.includes('max_payload')
  const verdict = isTooLarge ? 'reject' : (clientFaults.get(code) ?? clientFaults.get(name))
  return outcomeOf(verdict, `${system}: the NATS client did not send the message: ${message}`, system, error)
}

/** Whether the whole stream has no room. A limit per subject is one aggregate's own trouble. */
export function isStreamFull({ code, description }: { readonly code: number; readonly description: string }): boolean {
  return code === storeFailed && !description.includes('per subject')
}

/**
 * Why nothing can be stored at present, whatever the message: account or server have no resources, or the stream's leader
 * takes nothing. Undefined if that is not so.
 */
export function standstillOf(acknowledgement: Acknowledgement): string | undefined {
  if (acknowledgement.kind === 'stored') return undefined
  const { description } = acknowledgement
  if (acknowledgement.kind === 'inProcess') return `a stream's leader gets nothing stored: ${description}`
  const { code } = acknowledgement
  if (outOfResources.has(code)) return `JetStream is out of resources: ${description}`
  return takesNothing.has(code) ? `a stream's leader takes nothing: ${description}` : undefined
}

/** Why an outcome is unknown though the message was answered: one with its id is under way, and may still be dropped. */
export class InProcessError extends Error {
  override readonly name = 'InProcessError'
}

/** The outcome of an entry that was answered. A duplicate is stored: it was sent before. */
export function outcomeOfAcknowledgement(acknowledgement: Acknowledgement, system: string): PublishOutcome {
  switch (acknowledgement.kind) {
    case 'stored':
      return acknowledgement.isDuplicate ? { status: 'published', duplicate: true } : { status: 'published' }
    case 'inProcess': {
      const text = `${system}: the stream's leader still has to store a message with this id: ${acknowledgement.description}.`
      return { status: 'unknown', error: new InProcessError(text) }
    }
    case 'refused': {
      const { code, description } = acknowledgement
      const hint = hints.get(code)
      const text = `${system}: JetStream refused the message: ${description} (${code})${hint === undefined ? '' : `; ${hint}`}.`
      const isOutage = isStreamFull(acknowledgement) || standstillOf(acknowledgement) !== undefined
      return outcomeOf(isOutage ? 'unavailable' : verdicts.get(code), text, system)
    }
  }
}

function outcomeOf(verdict: Verdict | undefined, text: string, system: string, cause?: unknown): PublishOutcome {
  const options = { system, ...(cause === undefined ? {} : { cause }) }
  if (verdict === 'reject') return { status: 'reject', error: permanent(text, options) }
  if (verdict === 'unavailable') return { status: 'unavailable', error: unavailable(text, options) }
  return { status: 'retry', error: failure(text, cause) }
}

const decoder = new TextDecoder()

/**
 * Reads the reply to a published message; undefined if it is none of JetStream, since others may answer on the subject.
 *
 * @param domain - the one that is meant: streams of others that take the subject answer, too
 */
export function acknowledgementFrom(data: Uint8Array, domain?: string): Acknowledgement | undefined {
  const reply = jsonFrom(data)
  if (!isRecord(reply)) return undefined
  const { error, stream, seq, duplicate, count, domain: from = domain } = reply
  if (isRecord(error)) {
    const { code: general, err_code: code = general, description } = error
    if (typeof code !== 'number') return undefined
    // a refusal does not tell its domain; that of another stream is no word of ours
    if (code === wrongStream && domain !== undefined) return undefined
    if (code === idInProcess) return { kind: 'inProcess', description: `${description} (${code})` }
    return {
      kind: 'refused',
      code,
      description: String(description),
      stream: typeof stream === 'string' ? stream : undefined,
    }
  }
  if (typeof stream !== 'string' || typeof seq !== 'number') return undefined
  if (domain !== undefined && from !== domain) return undefined
  // clustered servers before mid-2024, of what is staged; later ones refuse it, with 10158
  if (duplicate === true && seq === 0) return { kind: 'inProcess', description: 'a duplicate of sequence 0' }
  const batchCount = typeof count === 'number' ? count : undefined
  return { kind: 'stored', stream, sequence: seq, isDuplicate: duplicate === true, batchCount }
}

/** Parses JSON bytes; undefined if they are none. */
export function jsonFrom(data: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(data))
  } catch {
    return undefined // the caller says what it expected
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function describe(error: unknown): { readonly code: string; readonly name: string; readonly message: string } {
  if (!(error instanceof Error)) return { code: '', name: '', message: String(error) }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return { code, name: error.name, message: error.message }
}

function failure(text: string, cause?: unknown): Error {
  return new Error(text, cause === undefined ? undefined : { cause })
}
