import { becomesReady, notConnected } from './client.ts'
import { errorFromCommand } from './errors.ts'
import type { StreamKeys } from './keys.ts'
import type { RedisSettings } from './options.ts'

/**
 * Resolves when the server could take a write to the stream now. Changes nothing.
 *
 * A PING succeeds on a server that is full, a replica, or without the cluster's slot in question: entries would burn
 * their attempts on it. `SET … XX` on a key that never exists is refused just as the real write would be, and is
 * otherwise a write that does nothing.
 *
 * @throws {OutboxError} `unavailable`, or `setup-required` where waiting does not help
 */
export async function probe(
  { client, name }: RedisSettings,
  keys: StreamKeys | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!(await becomesReady(client, signal))) {
    signal?.throwIfAborted()
    throw notConnected(client, name)
  }
  try {
    await orAborted(keys ? client.call('set', [keys.probe, '1', 'XX']) : client.call('ping', []), signal)
  } catch (error) {
    signal?.throwIfAborted()
    throw errorFromCommand(error, name)
  }
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
