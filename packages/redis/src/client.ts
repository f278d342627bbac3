import { type OutboxError, unavailable } from '@outbox/core'
import { onClientEvent } from './client-events.ts'

/** An argument of a command. */
export type RedisArgument = string | number

/** What the publisher reads of the options of one connection. */
interface ConnectionOptions {
  readonly commandTimeout?: number | undefined
  readonly socketTimeout?: number | undefined
}

/** What the publisher reads of the client's own options. All are optional: a client without them is trusted. */
export interface RedisClientOptions extends ConnectionOptions {
  readonly keyPrefix?: string | undefined
  readonly autoResendUnfulfilledCommands?: boolean | undefined
  readonly enableAutoPipelining?: boolean | undefined
  readonly autoPipeliningIgnoredCommands?: readonly string[] | undefined
  readonly maxRetriesPerRequest?: number | null | undefined
  readonly retryStrategy?: unknown
  /** of a `Cluster`: what its connections to the nodes have */
  readonly redisOptions?: ConnectionOptions | undefined
}

/**
 * The user's ioredis client, described by what is used of it: `Redis` and `Cluster` of ioredis 5 and 6 fit.
 *
 * Structural on purpose: two copies or versions of ioredis have incompatible classes.
 */
export interface RedisClient {
  readonly status: string
  readonly isCluster: boolean
  readonly options: RedisClientOptions
  /** of a `Cluster`: per slot the nodes that have it, its master first */
  readonly slots?: readonly (readonly string[])[] | undefined
  connect(): Promise<void>
  call(command: string, args: RedisArgument[]): Promise<unknown>
  pipeline(commands: unknown[][]): { exec(): Promise<[error: Error | null, reply: unknown][] | null> }
  on(event: string, listener: () => void): unknown
  off(event: string, listener: () => void): unknown
}

/** The options of each connection to a server. */
export function connectionOptions({ isCluster, options }: RedisClient): ConnectionOptions {
  return isCluster ? (options.redisOptions ?? {}) : options
}

/** How long a connection that is being made is waited for, milliseconds: well below a relay's publish time-out. */
const connectWaitMs = 2_000

/**
 * Whether a command given to the client now goes to the socket, and not into the client's queue for better times.
 *
 * ioredis writes at once when it is ready, so nothing comes between this question and the command; with
 * `enableAutoPipelining` a turn of the event loop does, and what it queues then is as harmless as what it sends again.
 */
export function isReady(client: RedisClient): boolean {
  return client.status === 'ready'
}

/** What `unavailable` outcomes carry when the client has no connection. */
export function notConnected(client: RedisClient, system: string): OutboxError<'unavailable'> {
  const hint = client.status === 'end' ? ': it was closed, or its retryStrategy gave up' : ''
  return unavailable(`Redis cannot be reached: the client's connection is '${client.status}'${hint}.`, { system })
}

/**
 * Resolves true once the client is ready; false if it has no connection and is not about to get one.
 *
 * A connection in the making, and a lazy client, are given two seconds. One that was lost and waits to be made
 * again is not waited for: that is an outage. Resolves false soon after `signal` aborts.
 */
export async function becomesReady(client: RedisClient, signal: AbortSignal | undefined): Promise<boolean> {
  if (isReady(client)) return true
  if (signal?.aborted || !['wait', 'connecting', 'connect'].includes(client.status)) return false
  let settle: () => void = () => undefined
  const settled = new Promise<void>((resolve) => {
    settle = resolve
  })
  const timer = setTimeout(settle, connectWaitMs)
  signal?.addEventListener('abort', settle)
  const unlisten = ['ready', 'close', 'end'].map((event) => onClientEvent(client, event, settle))
  try {
    // The rejection says nothing that the status does not say.
    if (client.status === 'wait') client.connect().then(settle, settle)
    await settled
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', settle)
    for (const stop of unlisten) stop()
  }
  return isReady(client)
}
