import { randomUUID } from 'node:crypto'
import { jetstream, jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import { connect as connect3, type NatsConnection } from '@nats-io/transport-node'
import { type Clock, type DueEntry, type Publisher, type PublishOutcome, partitionOf, systemClock } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import { type OwnServer, type StartNatsOptions, startNats } from '@outbox/services'
import { connect as connect2, type NatsConnection as NatsConnection2 } from 'nats'
import { decodeNatsMessage } from '../src/index.ts'

/** Both versions of the server that the promises are checked on. */
export const servers: readonly {
  readonly name: string
  readonly need: { readonly own: 'nats'; readonly version?: 'distribution' }
  readonly start: (options?: StartNatsOptions) => Promise<OwnServer>
}[] = [
  { name: 'nats-server, newest', need: { own: 'nats' }, start: (options = {}) => startNats(options) },
  {
    name: 'nats-server of the distribution',
    need: { own: 'nats', version: 'distribution' },
    start: (options = {}) => startNats({ ...options, version: 'distribution' }),
  },
]

/** A server that knows atomic batches. */
export const batchingServer = {
  name: 'nats-server, 2.12 or later',
  need: { own: 'nats', atLeast: '2.12' },
  start: (options: StartNatsOptions = {}): Promise<OwnServer> => startNats({ ...options, atLeast: '2.12' }),
} as const

export interface TestConnectOptions {
  readonly user?: string
  readonly pass?: string
  readonly reconnect?: boolean
  /** milliseconds between two attempts to connect again, default 20 here */
  readonly reconnectTimeWait?: number
  readonly inboxPrefix?: string
}

export type TestConnection = NatsConnection | NatsConnection2

/** Both client libraries, behind one function; a test closes what it opens. */
export const clients: readonly {
  readonly name: string
  readonly connect: (servers: string | readonly string[], options?: TestConnectOptions) => Promise<TestConnection>
}[] = [
  { name: '@nats-io 3', connect: (urls, options) => connect3(connectOptions(urls, options)) },
  { name: 'nats 2', connect: (urls, options) => connect2(connectOptions(urls, options)) },
]

function connectOptions(
  servers: string | readonly string[],
  options: TestConnectOptions = {},
): { servers: string[] } & TestConnectOptions {
  return { servers: [servers].flat(), ...patient, ...options }
}

/** takes the first server first, tries again soon, and for ever */
const patient = { noRandomize: true, reconnectTimeWait: 20, reconnectJitter: 0, maxReconnectAttempts: -1 } as const

/** The test's own view of a server, over a connection that no test interferes with. */
export interface Observer extends AsyncDisposable {
  readonly connection: NatsConnection
  /** Makes a stream for the subjects given. */
  addStream(subjects: string | readonly string[], config?: Partial<StreamConfig>): Promise<string>
  /** Changes how a stream is configured. */
  update(stream: string, config: Partial<StreamConfig>): Promise<void>
  /** Everything in a stream, or on some of its subjects, decoded, in its order. */
  read(stream: string, subjects?: string): Promise<ReceivedEntry[]>
  /** How many messages a stream holds. */
  count(stream: string): Promise<number>
  deleteStreams(): Promise<void>
}

export async function observe(url: string | readonly string[], options: TestConnectOptions = {}): Promise<Observer> {
  const connection = await connect3(connectOptions(url, options))
  const manager = await jetstreamManager(connection)
  const made: string[] = []
  const count = async (stream: string): Promise<number> => (await manager.streams.info(stream)).state.messages
  return {
    connection,
    async addStream(subjects, config = {}) {
      const name = `T${randomUUID().replaceAll('-', '')}`
      await manager.streams.add({ name, subjects: [subjects].flat(), duplicate_window: 120e9, ...config })
      made.push(name)
      return name
    },
    async update(stream, config) {
      await manager.streams.update(stream, config)
    },
    async read(stream, subjects = '>') {
      const entries: ReceivedEntry[] = []
      const consumer = await jetstream(connection).consumers.get(stream, { filter_subjects: subjects })
      if ((await consumer.info()).num_pending === 0) return entries
      for await (const message of await consumer.consume()) {
        entries.push(decodeNatsMessage(message))
        if (message.info.pending === 0) break
      }
      return entries
    },
    count,
    async deleteStreams() {
      for (const stream of made.splice(0)) await manager.streams.delete(stream)
    },
    [Symbol.asyncDispose]: () => connection.close(),
  }
}

export const never: AbortSignal = new AbortController().signal

/** An entry that is due, of aggregate `order 1` under epoch 1 unless the test says otherwise. */
export function dueEntry(
  content: Partial<DueEntry> & { readonly epoch?: number; readonly holder?: string } = {},
): DueEntry {
  const { epoch = 1, holder = 'relay-a', ...rest } = content
  const { id = randomUUID(), aggregateType = 'order', aggregateId = '1' } = rest
  return {
    id,
    eventType: 'order.placed',
    aggregateType,
    aggregateId,
    sequence: 1,
    occurredAt: new Date('2026-11-24T08:00:00.000Z'),
    payload: '{}',
    headers: {},
    lease: { partition: partitionOf(aggregateType, aggregateId), epoch, holder },
    source: 'outbox-a',
    attempt: 1,
    crashes: 0,
    deduplicationId: id,
    isLate: false,
    ...rest,
  }
}

export function publish(publisher: Publisher, entries: readonly DueEntry[]): Promise<readonly PublishOutcome[]> {
  return publisher.publish(entries, { signal: never })
}

/** What the publisher made of each entry, without the errors. */
export async function statuses(publisher: Publisher, entries: readonly DueEntry[]): Promise<string[]> {
  return (await publish(publisher, entries)).map(statusOf)
}

function statusOf(outcome: PublishOutcome): string {
  return outcome.status === 'published' && outcome.duplicate === true ? 'duplicate' : outcome.status
}

export function messageOf(outcome: PublishOutcome | undefined): string {
  return outcome && 'error' in outcome && outcome.error instanceof Error ? outcome.error.message : ''
}

/** `1/2`: aggregate and sequence of everything in a stream, in its order. */
export async function arrivals(observer: Observer, stream: string): Promise<string[]> {
  return (await observer.read(stream)).map(({ aggregateId, sequence }) => `${aggregateId}/${sequence}`)
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

/** The system's clock, that a test moves ahead. */
export function shiftedClock(): Clock & { shift(milliseconds: number): void } {
  let aheadMs = 0
  return {
    monotonic: () => systemClock.monotonic() + aheadMs,
    schedule: (callback, delayMs) => systemClock.schedule(callback, delayMs),
    shift: (milliseconds) => {
      aheadMs += milliseconds
    },
  }
}
