import type { LeasedSource } from '@outbox/core'
import type { Database } from './database.ts'
import { whole } from './values.ts'

type Request = Parameters<LeasedSource['purge']>[0]

/** What to purge: documents of a collection, by a time that an index has. */
export interface Purged {
  readonly kind: 'entries' | 'inbox'
  readonly time: 'endedAt' | 'handledAt'
}

/** Documents that one command deletes: it is over in some milliseconds. */
const batchSize = 1_000
/** Longer than anything is kept, shorter than what a date can hold. */
const longestAgeMs = 1e14

/**
 * Deletes documents in batches, oldest first. No transaction writes what it deletes, so nobody waits for it.
 *
 * Plan: the front of the index of the time, then by id.
 */
export async function purge(database: Database, { kind, time }: Purged, request: Request): Promise<number> {
  const limit = whole(request.limit)
  const own = database.under(request)
  const now = await own.now()
  const newest = new Date(now.getTime() - Math.min(Math.max(0, request.olderThanMs), longestAgeMs))
  let deleted = 0
  while (deleted < limit) {
    const batch = Math.min(batchSize, limit - deleted)
    const options = { projection: { _id: 1 }, sort: { [time]: 1 }, limit: batch }
    const old = await own.find(kind, { [time]: { $lte: newest } }, options)
    if (old.length === 0) break
    deleted += await own.deleteMany(kind, { _id: { $in: old.map(({ _id }) => _id) }, [time]: { $lte: newest } })
    if (old.length < batch) break
  }
  return deleted
}
