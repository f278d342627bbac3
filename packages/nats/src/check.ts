import { limits, OutboxError, unavailable } from '@outbox/core'
import { mayKnowBatches } from './atomic-batches.ts'
import type { ApiAnswer, JetStreamApi } from './jetstream.ts'
import { type NatsSettings, ownApiPrefix } from './options.ts'
import type { Replies } from './replies.ts'
import {
  closure,
  forgetsConsumed,
  type StreamConfig,
  streamConfigFrom,
  streamFaults,
  streamWarnings,
} from './stream-config.ts'
import { coversSubject } from './subject.ts'
import type { SubjectFence } from './subject-fence.ts'

export interface FoundSetup {
  readonly warnings: readonly string[]
  /** the shortest window of the streams that were found */
  readonly dedupeWindowMs: number | undefined
}

export interface CheckOptions {
  readonly fence: SubjectFence | undefined
  readonly retryHorizonMs: number
  readonly signal: AbortSignal
}

/** JetStream's `err_code`s for JetStream that is off. */
const notEnabled: ReadonlySet<number> = new Set([10_039, 10_076])
const streamNotFound = 10_059

/** A subject to ask about where only the right to ask matters. */
const nobodysSubject = 'no.subject'

/**
 * Looks at the server and the stream; changes nothing.
 *
 * @throws {OutboxError} `setup-required` with everything that is missing, and the commands that mend it;
 *   `unavailable` when the broker does not answer
 */
export async function checkSetup(
  settings: NatsSettings,
  replies: Replies,
  api: JetStreamApi,
  { fence, retryHorizonMs, signal }: CheckOptions,
): Promise<FoundSetup> {
  const fault = replies.fault()
  if (fault) throw fault
  const { connection, name: system } = settings
  if (connection.info?.headers === false) {
    throw missing(system, [
      'message headers are switched off on the server: take no_header_support out of its configuration',
    ])
  }
  await requireJetStream(settings, api, signal)
  const { template, stream } = settings
  const found =
    stream !== undefined
      ? [await streamNamed(stream, settings, api, signal)]
      : template === undefined
        ? []
        : await streamsCovering(template.wildcard, settings, api, signal)
  const open = found.filter((config) => closure(config) === undefined)
  // one that takes nothing for ever may stand beside others, with what was published long ago
  const streams = open.length > 0 ? open : found
  const faults = [
    ...streams.flatMap(streamFaults),
    ...batchFaults(streams, settings),
    ...(fence ? fenceFaults(streams, settings) : []),
  ]
  if (faults.length > 0) throw missing(system, faults)
  // a probe asks for names only once something is wrong, and then a right that is missing would keep it from passing
  await api.streamNames(nobodysSubject, signal)
  if (fence) await Promise.all(streams.map(({ name }) => fence.requireReadable(name, nobodysSubject, signal)))
  const windows = streams.map(({ duplicateWindowMs }) => duplicateWindowMs)
  return {
    warnings: [
      ...(streams.length === 0
        ? [
            `${system}: the subject is a function, so its streams were not checked. Give option 'stream' to have it checked.`,
          ]
        : []),
      ...found
        .filter((config) => !streams.includes(config))
        .map((config) => `${system}: ${closure(config)}. Entries with its subjects become dead letters.`),
      ...(template === undefined ? [] : coverageWarnings(streams, template.wildcard)),
      ...streams.flatMap((config) => streamWarnings(config, retryHorizonMs, connection.info?.max_payload)),
      ...payloadWarnings(connection.info?.max_payload),
    ],
    dedupeWindowMs: windows.length === 0 ? undefined : Math.min(...windows),
  }
}

async function requireJetStream(
  { apiPrefix, name: system }: NatsSettings,
  api: JetStreamApi,
  signal: AbortSignal,
): Promise<void> {
  const account = await api.request('INFO', undefined, signal)
  if (account.kind === 'ok') return
  if (account.kind === 'absent' && apiPrefix !== ownApiPrefix) {
    // a domain may be on servers that are out of reach for a while, such as the hub of a leaf node
    const text = `${system}: nobody answers on '${apiPrefix}.INFO'. Look whether the domain is reached, and whether option apiPrefix is right.`
    throw unavailable(text, { system })
  }
  if (isOff(account)) {
    throw missing(system, [
      "JetStream is off: start the server with 'nats-server -js', or add 'jetstream { store_dir: … }' to its configuration and enable it for the account",
    ])
  }
  throw api.notThere('INFO', account)
}

/** What keeps the streams from batches, if they were asked for. */
function batchFaults(streams: readonly StreamConfig[], settings: NatsSettings): readonly string[] {
  if (settings.batch === 'none') return []
  if (!mayKnowBatches(settings)) {
    const version = settings.connection.info?.version
    return [`batch: 'atomic' needs nats-server 2.12, this is ${version}: leave the option out`]
  }
  return streams
    .filter(({ allowsBatches }) => !allowsBatches)
    .map(
      ({ name }) =>
        `stream '${name}' takes no batches: set allow_atomic in its configuration, which nats-server 2.12 knows`,
    )
}

/** What keeps the fence from finding messages: it asks for them by the subjects that they are sent to. */
function fenceFaults(streams: readonly StreamConfig[], { template }: NatsSettings): readonly string[] {
  const renames = ({ transformedSubjects: from }: StreamConfig): boolean =>
    from !== undefined && overlaps(from, template?.wildcard ?? '>')
  return [
    ...streams
      .filter(renames)
      .map(
        ({ name }) =>
          `stream '${name}' stores messages under other subjects (subject_transform), where fence: 'subject' does not find them: take one of the two out`,
      ),
    ...streams
      .filter(forgetsConsumed)
      .map(
        ({ name, retention }) =>
          `stream '${name}' deletes what was consumed (retention: ${retention}), and fence: 'subject' finds nothing there: make a stream with --retention=limits, or leave the option out`,
      ),
  ]
}

function isOff(answer: Exclude<ApiAnswer, { readonly kind: 'ok' }>): boolean {
  return answer.kind === 'absent' || notEnabled.has(answer.refusal.code)
}

async function streamNamed(
  stream: string,
  { template, name: system }: NatsSettings,
  api: JetStreamApi,
  signal: AbortSignal,
): Promise<StreamConfig> {
  const answer = await api.request(`STREAM.INFO.${stream}`, undefined, signal)
  const subjects = template?.wildcard ?? 'events.>'
  if (answer.kind === 'refused' && answer.refusal.code === streamNotFound) {
    throw missing(system, [`there is no stream '${stream}': ${addCommand(stream, subjects)}`])
  }
  if (answer.kind !== 'ok') throw api.notThere(`STREAM.INFO.${stream}`, answer)
  const config = streamConfigFrom(stream, answer.body)
  const isOurs = template === undefined || closure(config) !== undefined
  if (!isOurs && !config.subjects.some((subject) => overlaps(subject, template.wildcard))) {
    throw missing(system, [
      `stream '${stream}' takes '${config.subjects.join(', ')}', not '${subjects}': nats stream edit ${stream} --subjects='${[...config.subjects, subjects].join(',')}'`,
    ])
  }
  return config
}

async function streamsCovering(
  wildcard: string,
  settings: NatsSettings,
  api: JetStreamApi,
  signal: AbortSignal,
): Promise<readonly StreamConfig[]> {
  const names = await api.streamNames(wildcard, signal)
  if (names.length === 0) {
    throw missing(settings.name, [`no stream takes '${wildcard}': ${addCommand('EVENTS', wildcard)}`])
  }
  return Promise.all(names.map((name) => streamNamed(name, settings, api, signal)))
}

/** Whether some subject is matched by both. */
function overlaps(one: string, other: string): boolean {
  const left = one.split('.')
  const right = other.split('.')
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const a = left[index]
    const b = right[index]
    if (a === undefined || b === undefined) return false
    if (a === '>' || b === '>') return true
    if (a !== '*' && b !== '*' && a !== b) return false
  }
  return true
}

function coverageWarnings(streams: readonly StreamConfig[], wildcard: string): readonly string[] {
  const subjects = streams.flatMap((config) => config.subjects)
  if (subjects.some((subject) => coversSubject(subject, wildcard))) return []
  return [
    `No stream takes all of '${wildcard}', only '${subjects.join(', ')}': entries with other subjects are not published until one does.`,
  ]
}

function payloadWarnings(maxPayload: number | undefined): readonly string[] {
  if (maxPayload === undefined || maxPayload >= limits.payloadBytes) return []
  return [
    `The server's max_payload is ${maxPayload} bytes with headers, and an outbox takes payloads of ${limits.payloadBytes}: larger entries become dead letters.`,
  ]
}

function addCommand(stream: string, subjects: string): string {
  return `nats stream add ${stream} --subjects='${subjects}' --storage=file --dupe-window=10m --discard=new --defaults`
}

function missing(system: string, what: readonly string[]): OutboxError<'setup-required'> {
  return new OutboxError('setup-required', `${system}: ${what.join('; ')}.`, { missing: what })
}
