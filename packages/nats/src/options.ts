import { type Clock, type DueEntry, type OutboxError, systemClock } from '@outbox/core'
import { invalidOption, knownOptions } from '@outbox/core/adapter'
import type { NatsConnectionLike } from './connection.ts'
import type { NatsFormat } from './message.ts'
import { type SubjectOption, type SubjectTemplate, subjectTemplate } from './subject.ts'

export interface NatsPublisherOptions {
  /** yours, of `nats` 2.x or `@nats-io/transport-node` 3.x; never closed here */
  readonly connection: NatsConnectionLike
  /** such as `events.{aggregateType}.{aggregateId}.{eventType}`, or a function that gives the subject of an entry; one that throws makes its entry wait, and no attempt is counted */
  readonly subject: SubjectOption
  /** the stream that must take the messages; otherwise whichever covers the subject */
  readonly stream?: string | undefined
  /** default `headers` */
  readonly format?: NatsFormat | undefined
  /**
   * stands behind each `Nats-Msg-Id`, after a colon: 1 to 64 letters, digits, `-`, `_`, `.`; default none. A stream
   * drops the second message with an id, whatever its subject: of several publishers that write the same entries to one
   * stream, each needs a suffix of its own. Entries keep their id, and consumers see no difference
   */
  readonly messageIdSuffix?: string | undefined
  /** `subject`: a late write of a relay that lost its lease is refused. Needs one subject per aggregate. Default `none` */
  readonly fence?: 'none' | 'subject' | undefined
  /**
   * `atomic`: what one `publish` call has goes to the stream as one batch. Needs `stream`, nats-server 2.12 and a stream
   * with `allow_atomic`; not with `fence: 'subject'`. Default `none`: one message per aggregate at a time
   */
  readonly batch?: 'none' | 'atomic' | undefined
  /** messages of one `publish` call that wait for their acknowledgement at once, default 512; one per aggregate */
  readonly maxInFlight?: number | undefined
  /**
   * milliseconds to wait for an acknowledgement before the message is sent once more, under the same id, and as many
   * again before the outcome is `unknown`; default 2,000. Twice this should fit in the relay's `publishTimeoutMs`.
   */
  readonly ackTimeoutMs?: number | undefined
  /** where replies come in, default `_INBOX` */
  readonly inboxPrefix?: string | undefined
  /** where JetStream's API is, default `$JS.API`; `$JS.hub.API` for the domain `hub` */
  readonly apiPrefix?: string | undefined
  /** aggregates whose last message is remembered with `fence: 'subject'`, default 10,000 */
  readonly fenceCacheSize?: number | undefined
  /** names the destination in events and errors, default `nats` */
  readonly name?: string | undefined
  /** for tests */
  readonly clock?: Clock | undefined
}

export interface NatsSettings {
  readonly connection: NatsConnectionLike
  readonly subjectOf: (entry: DueEntry) => string
  /** undefined for a function */
  readonly template: SubjectTemplate | undefined
  readonly stream: string | undefined
  readonly format: NatsFormat
  readonly messageIdSuffix: string | undefined
  readonly fence: 'none' | 'subject'
  readonly batch: 'none' | 'atomic'
  readonly maxInFlight: number
  readonly ackTimeoutMs: number
  readonly inboxPrefix: string
  readonly apiPrefix: string
  /** the domain that `apiPrefix` leads to; undefined where it does not tell */
  readonly domain: string | undefined
  readonly fenceCacheSize: number
  readonly name: string
  readonly clock: Clock
}

/** JetStream of the account that the connection is for. */
export const ownApiPrefix = '$JS.API'

const defaults = Object.freeze({
  format: 'headers',
  fence: 'none',
  batch: 'none',
  maxInFlight: 512,
  ackTimeoutMs: 2_000,
  inboxPrefix: '_INBOX',
  apiPrefix: ownApiPrefix,
  fenceCacheSize: 10_000,
  name: 'nats',
} as const)

const formats: readonly NatsFormat[] = ['headers', 'cloudevents', 'cloudevents-structured']
const maxTimeoutMs = 2 ** 31 - 1

const of = 'natsPublisher'
const known: Readonly<Record<keyof NatsPublisherOptions, unknown>> = {
  ...defaults,
  connection: true,
  subject: true,
  stream: true,
  messageIdSuffix: true,
  clock: true,
}

/** Checks the options and fills in the defaults. @throws {OutboxError} `invalid-option` */
export function settingsFrom(options: NatsPublisherOptions): NatsSettings {
  const given = knownOptions(of, options, known)
  const { connection, subject, stream, messageIdSuffix } = given
  const { format = defaults.format, fence = defaults.fence, name = defaults.name, clock = systemClock } = given
  if (typeof connection?.publish !== 'function' || typeof connection.status !== 'function') {
    throw invalid(
      'connection',
      "is no NATS connection: give what connect() of 'nats' or '@nats-io/transport-node' made",
    )
  }
  if (typeof name !== 'string' || name === '') throw invalid('name', 'is no text')
  if (!formats.includes(format)) throw invalid('format', `is none of ${formats.join(', ')}`)
  if (fence !== 'none' && fence !== 'subject') throw invalid('fence', "is neither 'none' nor 'subject'")
  const batch = given.batch ?? defaults.batch
  if (batch !== 'none' && batch !== 'atomic') throw invalid('batch', "is neither 'none' nor 'atomic'")
  if (batch === 'atomic' && stream === undefined) {
    throw invalid('batch', "needs option stream, since a batch is for one: write stream: 'EVENTS'")
  }
  if (batch === 'atomic' && fence === 'subject') {
    throw invalid('batch', "cannot be had with fence: 'subject', which looks at each message: choose one of the two")
  }
  if (stream !== undefined && !isStreamName(stream)) {
    throw invalid('stream', 'is no name of a stream: it holds no dots, spaces, wildcards or slashes')
  }
  if (messageIdSuffix !== undefined && !isSuffix(messageIdSuffix)) {
    throw invalid('messageIdSuffix', "is not of 1 to 64 letters, digits, '-', '_' and '.'")
  }
  if (typeof subject !== 'string' && typeof subject !== 'function') {
    throw invalid('subject', "is neither text nor a function: write 'events.{aggregateType}.{aggregateId}.{eventType}'")
  }
  const template = typeof subject === 'string' ? subjectTemplate(subject) : undefined
  if (fence === 'subject' && template?.isPerAggregate === false) {
    throw invalid(
      'subject',
      "gives an aggregate more than one subject, or shares one, and fence: 'subject' needs one each: write 'events.{aggregateType}.{aggregateId}'",
    )
  }
  const apiPrefix = prefix('apiPrefix', given.apiPrefix ?? defaults.apiPrefix)
  return {
    connection,
    subjectOf: typeof subject === 'function' ? subject : subjectTemplate(subject).subjectOf,
    template,
    stream,
    format,
    messageIdSuffix,
    fence,
    batch,
    maxInFlight: wholeNumber('maxInFlight', given.maxInFlight ?? defaults.maxInFlight, 100_000),
    ackTimeoutMs: wholeNumber('ackTimeoutMs', given.ackTimeoutMs ?? defaults.ackTimeoutMs, maxTimeoutMs),
    inboxPrefix: prefix('inboxPrefix', given.inboxPrefix ?? defaults.inboxPrefix),
    apiPrefix,
    domain: /^\$JS\.(.+)\.API$/.exec(apiPrefix)?.[1],
    fenceCacheSize: wholeNumber('fenceCacheSize', given.fenceCacheSize ?? defaults.fenceCacheSize, 10_000_000),
    name,
    clock,
  }
}

function isStreamName(stream: unknown): stream is string {
  return typeof stream === 'string' && /^[^\s.*>/\\]+$/.test(stream)
}

function isSuffix(suffix: unknown): boolean {
  return typeof suffix === 'string' && /^[\w.-]{1,64}$/.test(suffix)
}

function wholeNumber(option: string, value: unknown, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max) return value
  throw invalid(option, `must be a whole number from 1 to ${max}`)
}

function prefix(option: string, value: unknown): string {
  if (typeof value === 'string' && /^[^\s.*>]+(?:\.[^\s.*>]+)*$/.test(value)) return value
  throw invalid(option, 'is no subject: tokens with dots between them, without wildcards')
}

function invalid(option: string, fault: string): OutboxError<'invalid-option'> {
  return invalidOption(of, option, fault)
}
