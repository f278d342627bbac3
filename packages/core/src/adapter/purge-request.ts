import { knownOptions, requireCount, requireMs } from '../options.ts'
import type { LeasedSource } from '../store.ts'

type PurgeRequest = Parameters<LeasedSource['purge']>[0]

const known: Readonly<Record<keyof PurgeRequest, true>> = { olderThanMs: true, limit: true, signal: true }

/**
 * For stores and inboxes: what `purge` was given, once it is known to make sense. A time or a limit that is missing
 * would delete everything, or nothing for ever. Either may be endless.
 *
 * @throws {OutboxError} `invalid-option`, naming the argument and what to write
 */
export function checkedPurge(request: PurgeRequest): PurgeRequest {
  const { olderThanMs, limit } = knownOptions('purge', request, known)
  requireMs('purge', 'olderThanMs', olderThanMs)
  if (limit !== Number.POSITIVE_INFINITY) requireCount('purge', 'limit', limit)
  return request
}
