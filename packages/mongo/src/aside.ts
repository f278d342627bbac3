import type { Lease } from '@outbox/core'
import { groupedBy } from '@outbox/core/adapter'
import type { Context } from './context.ts'
import type { Write } from './database.ts'
import { inScan } from './entries.ts'
import { standingAndDone } from './lease-documents.ts'

/**
 * Setting aside. A scan that meets entries of an aggregate that waits, is blocked, or is too busy, moves them out of its
 * way: `asideUntil` says when a scan shall meet the entry again. It is never without end, so nothing has to stand for an
 * entry while it is aside, and nothing can be forgotten.
 *
 * What brings an aggregate back in time: the entry that it waits for comes back when the wait is over; a requeued entry
 * stands in the scan itself; a discard, and a fetch that leaves a rest, put the next entry back into the scan.
 */
export interface Move {
  readonly partition: number
  /** as the driver gave it */
  readonly id: unknown
  /** the version of its place when the scan met it: whoever moves an entry raises it */
  readonly moves: number
  readonly until: Date
}

/** How long a scan is spared a blocked aggregate; after that it looks again, in case an operator's process died. */
export const blockedAsideMs: number = 3_600_000
/** How long it is spared the backlog of an aggregate that is lent from all the time. */
export const busyAsideMs: number = 60_000

/**
 * Notes under the leases what is about to be moved, moves it, and takes the note away. While it stands, the move may be
 * under way: whoever needs the lease next, be it this relay after a call that was cut off, or the one that takes it
 * over, makes all that is noted miss its mark first.
 *
 * @returns how many entries it moved, or somebody else did meanwhile: none if one of the leases does not stand
 */
export async function setAside(context: Context, leases: readonly Lease[], moves: readonly Move[]): Promise<number> {
  if (moves.length === 0) return 0
  const { database } = context
  const byPartition = groupedBy(moves, ({ partition }) => partition)
  const concerned = leases.filter(({ partition }) => byPartition.has(partition))
  const moveId = crypto.randomUUID()
  const noted = await database.bulk(
    'leases',
    concerned.map((lease): Write => {
      const ids = (byPartition.get(lease.partition) ?? []).map(({ id }) => id)
      const update = { $set: { moving: { id: moveId, ids } } }
      return { updateOne: { filter: standingAndDone(context, lease), update } }
    }),
  )
  // a lease was lost, or has something left to do: the next fetch begins with that, and meets the same entries again
  if (noted < concerned.length) return 0
  const alike = groupedBy(moves, ({ until, moves: version }) => `${until.getTime()} ${version}`)
  await database.bulk(
    'entries',
    [...alike.values()].map((group): Write => {
      const [{ until, moves: version } = { until: new Date(0), moves: 0 }] = group
      const filter = { _id: { $in: group.map(({ id }) => id) }, state: 'pending', moves: version }
      return { updateMany: { filter, update: { $set: { asideUntil: until }, $inc: { moves: 1 } } } }
    }),
  )
  const moved = { _id: { $in: concerned.map(({ partition }) => partition) }, 'moving.id': moveId }
  await database.updateMany('leases', moved, { $set: { moving: null } })
  return moves.length
}

/**
 * Puts entries back where a scan meets them first. Harmless whoever does it, and however late.
 *
 * @param always - those too that are there already: what somebody is about to set aside then misses its mark
 */
export async function putBack(
  { database }: Context,
  entries: readonly { readonly id: unknown; readonly asideUntil: Date }[],
  always = false,
): Promise<void> {
  const aside = entries.filter(({ asideUntil }) => always || asideUntil > inScan).map(({ id }) => id)
  if (aside.length === 0) return
  const update = { $set: { asideUntil: inScan }, $inc: { moves: 1 } }
  await database.updateMany('entries', { _id: { $in: aside }, state: 'pending' }, update)
}
