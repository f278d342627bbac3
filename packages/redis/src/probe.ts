import { OutboxError, unavailable } from '@outbox/core'
import { callAcknowledged } from './acknowledge.ts'
import { becomesReady, notConnected, type RedisArgument } from './client.ts'
import { errorFromCommand, isReply } from './errors.ts'
import type { StreamKeys } from './keys.ts'
import type { RedisSettings } from './options.ts'

/**
 * A write that does nothing: the key never exists.
 *
 * In a script, and of two keys, as the real write is: while a slot moves from one node of a cluster to another, a
 * command of one key is served, and one of several is not.
 */
const probeScript = "return redis.pcall('SET', KEYS[2], '1', 'XX')"

/**
 * Resolves when the server could take a write to these streams now, and acknowledge it as asked. Changes nothing.
 *
 * A PING succeeds on a server that is full, a replica, or without the cluster's slot in question: entries would burn
 * their attempts on it. The probe is refused just as the real write would be.
 *
 * @param streams - none: whether the server answers at all
 * @throws {OutboxError} `unavailable`, or `setup-required` where waiting does not help
 */
export async function probe(
  settings: RedisSettings,
  streams: readonly StreamKeys[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const { client, name } = settings
  if (!(await becomesReady(client, signal))) {
    signal?.throwIfAborted()
    throw notConnected(client, name)
  }
  const asked = streams.length === 0 ? [client.call('ping', [])] : streams.map((keys) => probeStream(keys, settings))
  try {
    await orAborted(Promise.all(asked), signal)
  } catch (error) {
    signal?.throwIfAborted()
    if (OutboxError.is(error)) throw error
    if (!client.isCluster && isReply(error) && error.message.startsWith('MOVED')) throw notOneServer(name)
    throw errorFromCommand(error, name)
  }
}

async function probeStream(keys: StreamKeys, { client, name, acknowledge }: RedisSettings): Promise<void> {
  const script: [string, ...RedisArgument[]] = [probeScript, 2, keys.stream, keys.probe]
  // by itself first: in a cluster this one is redirected, and the client learns where the stream is now
  await client.call('eval', script)
  if (acknowledge === undefined) return
  const { shortfall } = await callAcknowledged(client, ['eval', ...script], acknowledge)
  if (shortfall !== undefined) {
    throw unavailable(`'${name}': Redis takes writes and cannot acknowledge them as asked: ${shortfall}`, {
      system: name,
    })
  }
}

function notOneServer(name: string): OutboxError<'setup-required'> {
  const missing = "a client of the cluster: the server is one of its nodes, and the stream's slot is another's"
  return new OutboxError('setup-required', `${name}: it needs ${missing}. Write \`new Cluster([…])\`.`, {
    missing: [missing],
  })
}

/** The command's answer, or a rejection as soon as `signal` aborts; a late answer is nobody's. */
export async function orAborted<T>(command: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return command
  let abort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
  })
  signal.addEventListener('abort', abort)
  if (signal.aborted) abort()
  try {
    return await Promise.race([command, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
