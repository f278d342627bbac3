import { type CallOptions, isUuid, type OutboxEntry, partitionCount } from '@outbox/core'
import { type Context, under } from './context.ts'
import { content, contentFields, inScan } from './entries.ts'
import { oneByOne } from './fronts.ts'
import { type Document, numberIn, whole } from './values.ts'

const all: readonly number[] = Array.from({ length: partitionCount }, (_, partition) => partition)

/**
 * `OutboxSource.fetchUnpublished`: what stands in the scan, and what was set aside, each by position, merged.
 *
 * At one instant: an entry that a relay moves from one to the other is in one of them.
 */
export async function fetchUnpublished(
  context: Context,
  limit: number,
  call?: CallOptions,
): Promise<readonly OutboxEntry[]> {
  const { database, names } = under(context, call)
  const most = Math.min(whole(limit), 2 ** 31 - 1)
  call?.signal?.throwIfAborted()
  if (most === 0) return []
  const front = (asideUntil: unknown): readonly Document[] => [
    { $match: { partition: { $in: all }, state: 'pending', asideUntil } },
    { $sort: { position: 1 } },
    { $limit: most },
    { $project: contentFields },
  ]
  const fronts = [front(inScan), front({ $gt: inScan })]
  const found = await oneByOne((pipeline) => database.aggregateAtOnce('entries', pipeline), names.entries, fronts)
  return found
    .toSorted((a, b) => numberIn(a, 'position') - numberIn(b, 'position'))
    .slice(0, most)
    .map((document) => ({ ...content(document), published: false, publishedAt: null }))
}

/** `OutboxSource.markPublished`: no lease, no fence; dead entries stay dead. */
export async function markPublished(context: Context, ids: readonly string[], call?: CallOptions): Promise<void> {
  const { database, toUuid } = under(context, call)
  call?.signal?.throwIfAborted()
  const given = ids.filter(isUuid).map(toUuid())
  if (given.length === 0) return
  await database.updateMany(
    'entries',
    { _id: { $in: given }, state: 'pending' },
    {
      $set: { state: 'published', crashes: 0 },
      $unset: { holdsUntil: '', reason: '' },
      $currentDate: { endedAt: true },
    },
  )
}
