import type { DueEntry, OutboxError } from '@outbox/core'
import { invalidOption, knownOptions, requireName, shown } from '@outbox/core/adapter'
import { connectionOptions, type RedisClient } from './client.ts'
import { streamKeys } from './keys.ts'

/** How an entry stands in the stream: plain fields, CloudEvents 1.0 attributes as fields, or one CloudEvent as JSON. */
export type RedisFormat = 'fields' | 'cloudevents' | 'cloudevents-structured'

/** What must have happened before an entry counts as published; else its outcome is `unknown`. */
export interface Acknowledge {
  /** replicas that have it, by WAIT; with `fsync: 'all'` on their disks, by WAITAOF */
  readonly replicas?: number | undefined
  /** 'local': on this server's disk; 'all': on the replicas' too. Needs `appendonly yes` and Redis 7.2 */
  readonly fsync?: 'local' | 'all' | undefined
  /** milliseconds the server waits; meanwhile it answers nothing else on this connection */
  readonly timeoutMs: number
}

export interface RedisPublisherOptions {
  /** an ioredis client (5 or 6, `Redis` or `Cluster`), yours: it is never closed here */
  readonly client: RedisClient
  /** the stream's key, or a function that names it; one that throws makes its entry wait, and no attempt is counted */
  readonly stream: string | ((entry: DueEntry) => string)
  /** names the destination in events and errors, default `redis:` and the stream, or `redis` */
  readonly name?: string | undefined
  /** default 'fields' */
  readonly format?: RedisFormat | undefined
  /** how long a repeat of an id is dropped, default 3,600,000 ms (an hour); costs some 160 bytes an entry meanwhile */
  readonly dedupeWindowMs?: number | undefined
  /**
   * Trims the stream to about this many entries, the oldest first, default never.
   *
   * **It deletes what no consumer has read yet**, without a word: a consumer group that is away for longer than this
   * many entries loses events.
   */
  readonly maxLength?: number | undefined
  /** default: what the server's reply promises, which is memory */
  readonly acknowledge?: Acknowledge | undefined
}

/** The options, checked, with every default filled in. */
export interface RedisSettings {
  readonly client: RedisClient
  readonly stream: string | ((entry: DueEntry) => string)
  readonly name: string
  readonly format: RedisFormat
  readonly dedupeWindowMs: number
  readonly maxLength: number | undefined
  readonly acknowledge: Acknowledge | undefined
}

const defaults = Object.freeze({ format: 'fields', dedupeWindowMs: 3_600_000 } as const)
const known: Readonly<Record<keyof RedisPublisherOptions, true>> = {
  client: true,
  stream: true,
  name: true,
  format: true,
  dedupeWindowMs: true,
  maxLength: true,
  acknowledge: true,
}
const formats: readonly string[] = ['fields', 'cloudevents', 'cloudevents-structured']

const of = 'redisPublisher'

/** Of a template literal in plain quotes, and of a subject of NATS. */
const placeholder = /\$\{|\{(?:aggregateType|aggregateId|eventType)\}/

/** @throws {OutboxError} `invalid-option`, saying what to write instead */
export function settingsFrom(options: RedisPublisherOptions): RedisSettings {
  const given = knownOptions(of, options, known)
  const { client, stream, acknowledge, maxLength } = given
  const { format = defaults.format, dedupeWindowMs = defaults.dedupeWindowMs } = given
  requireClient(client)
  if (typeof stream === 'string') {
    streamKeys(stream, client.options.keyPrefix)
    if (placeholder.test(stream)) {
      throw invalid('stream', "has a placeholder, and a stream's name has none: write a function of the entry")
    }
  } else if (typeof stream !== 'function') {
    throw invalid('stream', "is missing: write a name like 'orders', or a function")
  }
  if (!formats.includes(format)) throw invalid('format', `is none of ${formats.join(', ')}`)
  requireCount('dedupeWindowMs', dedupeWindowMs, 'milliseconds')
  if (maxLength !== undefined) requireCount('maxLength', maxLength, 'entries')
  if (acknowledge !== undefined) requireAcknowledge(acknowledge, client)
  if (given.name !== undefined) requireName(of, given.name)
  const name = given.name ?? (typeof stream === 'string' ? `redis:${stream}` : 'redis')
  return Object.freeze({ client, stream, name, format, dedupeWindowMs, maxLength, acknowledge })
}

function requireClient(client: unknown): void {
  const methods = ['call', 'pipeline', 'on', 'off', 'connect'] as const
  const isClient =
    typeof client === 'object' &&
    client !== null &&
    'status' in client &&
    'options' in client &&
    typeof client.options === 'object' &&
    methods.every((method) => method in client && typeof Reflect.get(client, method) === 'function')
  if (!isClient)
    throw invalid('client', "is no ioredis client: write `import { Redis } from 'ioredis'` and `new Redis()`")
}

function requireAcknowledge(acknowledge: Acknowledge, client: RedisClient): void {
  const known = { replicas: true, fsync: true, timeoutMs: true }
  const { replicas, fsync, timeoutMs } = knownOptions(of, acknowledge, known, 'acknowledge.')
  if (replicas === undefined && fsync === undefined) {
    throw invalid('acknowledge', 'asks for nothing: name replicas, or fsync, or leave it out')
  }
  if (replicas !== undefined) requireCount('acknowledge.replicas', replicas, 'replicas')
  if (fsync !== undefined && fsync !== 'local' && fsync !== 'all') {
    throw invalid('acknowledge.fsync', "is neither 'local' nor 'all'")
  }
  if (fsync === 'all' && replicas === undefined) {
    throw invalid('acknowledge.replicas', "is missing: fsync 'all' needs to know how many replicas are all")
  }
  requireCount('acknowledge.timeoutMs', timeoutMs, 'milliseconds')
  const { commandTimeout, socketTimeout } = connectionOptions(client)
  for (const [option, limitMs] of Object.entries({ commandTimeout, socketTimeout })) {
    if (typeof limitMs === 'number' && limitMs <= timeoutMs) {
      throw invalid(
        'acknowledge.timeoutMs',
        `is ${timeoutMs}, and the client gives up after ${option}, ${limitMs} ms: raise that above it`,
      )
    }
  }
}

function requireCount(option: string, value: unknown, unit: string): void {
  if (!Number.isSafeInteger(value) || Number(value) < 1) {
    throw invalid(option, `is ${shown(value)}: write ${unit}, a whole number from 1 on`)
  }
}

function invalid(option: string, problem: string): OutboxError<'invalid-option'> {
  return invalidOption(of, option, problem)
}
