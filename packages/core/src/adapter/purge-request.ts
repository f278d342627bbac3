import { invalidOption, knownOptions, requireCount, requireMs } from '../options.ts'
import type { LeasedSource } from '../store.ts'

type PurgeRequest = Parameters<LeasedSource['purge']>[0]

const known: Readonly<Record<keyof PurgeRequest, true>> = { olderThanMs: true, limit: true, signal: true }

/** Ten years: with a time in the place of an age, nothing would be old enough for ever. */
const oldestMs = 10 * 365 * 86_400_000

/**
 * For stores and inboxes: what `purge` was given, once it is known to make sense. A time or a limit that is missing
 * would delete everything, or nothing for ever. Either may be `Infinity`.
 *
 * @throws {OutboxError} `invalid-option`, naming the argument and what to write
 */
export function checkedPurge(request: PurgeRequest): PurgeRequest {
  const { olderThanMs, limit } = knownOptions('purge', request, known)
  requireMs('purge', 'olderThanMs', olderThanMs)
  if (olderThanMs > oldestMs && olderThanMs < Infinity) {
    throw invalidOption('purge', 'olderThanMs', `is ${olderThanMs}, decades: write an age in milliseconds, not a time`)
  }
  if (limit !== Number.POSITIVE_INFINITY) requireCount('purge', 'limit', limit)
  return request
}
