import { randomUUID } from 'node:crypto'
import type { DueEntry, Publisher, PublishOutcome } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import { type OwnServer, startRedis, startValkey } from '@outbox/services'
import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import { decodeRedisEntry } from '../src/index.ts'

interface KindOfServer {
  readonly name: string
  readonly need: { readonly own: 'redis' | 'valkey'; readonly version?: 'distribution'; readonly atLeast?: string }
  readonly start: (config?: Readonly<Record<string, string>>) => Promise<OwnServer>
}

/** Every kind of server that the promises are checked on. */
export const servers: readonly KindOfServer[] = [
  { name: 'Redis, newest', need: { own: 'redis' }, start: (config = {}) => startRedis({ config }) },
  {
    name: 'Redis of the distribution',
    need: { own: 'redis', version: 'distribution' },
    start: (config = {}) => startRedis({ config, version: 'distribution' }),
  },
  { name: 'Valkey', need: { own: 'valkey' }, start: (config = {}) => startValkey({ config }) },
]

/** WAITAOF came with Redis 7.2; every Valkey has it. */
export const serversWithWaitAof: readonly KindOfServer[] = [
  {
    name: 'Redis, newest',
    need: { own: 'redis', atLeast: '7.2' },
    start: (config = {}) => startRedis({ config, atLeast: '7.2' }),
  },
  { name: 'Valkey', need: { own: 'valkey' }, start: (config = {}) => startValkey({ config }) },
]

/** The options that tests set: both versions of ioredis have them. */
export interface TestClientOptions {
  readonly lazyConnect?: boolean
  readonly enableOfflineQueue?: boolean
  readonly autoResendUnfulfilledCommands?: boolean
  readonly enableAutoPipelining?: boolean
  readonly maxRetriesPerRequest?: number | null
  readonly commandTimeout?: number
  readonly socketTimeout?: number | undefined
  readonly keyPrefix?: string
  readonly username?: string
  readonly password?: string
  readonly enableReadyCheck?: boolean
  readonly retryStrategy?: null
  readonly protocol?: 2
  readonly maxLoadingRetryTime?: number
}

/** Both major versions of ioredis, behind one function; a test closes what it opens. */
export const clients: readonly {
  readonly name: string
  readonly connect: (url: string, options?: TestClientOptions) => Redis | Redis5
}[] = [
  { name: 'ioredis 6', connect: (url, options = {}) => quiet(new Redis(url, options)) },
  { name: 'ioredis 5', connect: (url, options = {}) => quiet(new Redis5(url, options)) },
]

/** A client that the check at start is content with, unless the options say otherwise. */
export function connect(url: string, options: TestClientOptions = {}): Redis & Disposable {
  const client = quiet(new Redis(url, { socketTimeout: 10_000, ...options }))
  return Object.assign(client, { [Symbol.dispose]: () => client.disconnect() })
}

/** A lost connection is what many of these tests are about: ioredis prints it where nobody listens. */
function quiet<Client extends { on(event: 'error', listener: () => void): unknown }>(client: Client): Client {
  client.on('error', () => undefined)
  return client
}

const never: AbortSignal = new AbortController().signal

/** An entry that is due, of aggregate `order 1` under epoch 1 unless the test says otherwise. */
export function dueEntry(
  content: Partial<DueEntry> & { readonly epoch?: number; readonly holder?: string } = {},
): DueEntry {
  const { epoch = 1, holder = 'relay-a', ...rest } = content
  const id = rest.id ?? randomUUID()
  return {
    id,
    eventType: 'order.placed',
    aggregateType: 'order',
    aggregateId: '1',
    sequence: 1,
    occurredAt: new Date('2026-11-24T08:00:00.000Z'),
    payload: '{}',
    headers: {},
    lease: { partition: 7, epoch, holder },
    source: 'outbox-a',
    attempt: 1,
    crashes: 0,
    deduplicationId: id,
    isLate: false,
    ...rest,
  }
}

/** Entries of one aggregate with the sequences given. */
export function entriesOf(
  aggregateId: string,
  sequences: readonly number[],
  content: Parameters<typeof dueEntry>[0] = {},
): DueEntry[] {
  return sequences.map((sequence) => dueEntry({ aggregateId, sequence, ...content }))
}

export function publish(publisher: Publisher, entries: readonly DueEntry[]): Promise<readonly PublishOutcome[]> {
  return publisher.publish(entries, { signal: never })
}

/** What the publisher made of each entry, without the errors. */
export async function statuses(publisher: Publisher, entries: readonly DueEntry[]): Promise<string[]> {
  return (await publish(publisher, entries)).map(statusOf)
}

export function statusOf(outcome: PublishOutcome): string {
  return outcome.status === 'published' && outcome.duplicate === true ? 'duplicate' : outcome.status
}

export function messageOf(outcome: PublishOutcome | undefined): string {
  return outcome && 'error' in outcome && outcome.error instanceof Error ? outcome.error.message : ''
}

/** Everything in a stream, decoded, in its order. */
export async function read(client: Redis, stream: string): Promise<ReceivedEntry[]> {
  return (await client.xrange(stream, '-', '+')).map((item) => decodeRedisEntry(item))
}

/** `1/2`: aggregate and sequence of everything in a stream, in its order. */
export async function arrivals(client: Redis, stream: string): Promise<string[]> {
  return (await read(client, stream)).map(({ aggregateId, sequence }) => `${aggregateId}/${sequence}`)
}

/** The error of a promise that must reject. */
export async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('it was expected to fail, and did not')
}
