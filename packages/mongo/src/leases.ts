import {
  type GrantedLease,
  type Lease,
  type LeaseClaim,
  type LeasedSource,
  type Poll,
  partitionCount,
} from '@outbox/core'
import type { Context } from './context.ts'
import type { Write } from './database.ts'
import { duePartitions } from './due.ts'
import { isDuplicate } from './errors.ts'
import { layoutVersion } from './layout.ts'
import { among, complete, leaseDocuments, newLease, standingAndDone, stands } from './lease-documents.ts'
import { setOnce } from './meta.ts'
import { partitionsWithSuspects } from './suspects.ts'
import { numberIn, textIn, textOrNullIn } from './values.ts'

type Request<Method extends 'join' | 'poll' | 'acquire' | 'release'> = Parameters<LeasedSource[Method]>[0]

/** `LeasedSource.join`. Every write leaves alone what is there, so relays may meet at the very first one. */
export async function join(context: Context, request: Request<'join'>): Promise<{ source: string }> {
  const { database } = context
  const source = String(await setOnce(database, 'source', crypto.randomUUID()))
  context.source.name = source
  await setOnce(database, 'version', layoutVersion)
  const there = new Set((await database.find('leases', {}, { projection: { _id: 1 } })).map(({ _id }) => _id))
  const missing = Array.from({ length: partitionCount }, (_, partition) => partition).filter((one) => !there.has(one))
  await inserted(
    database.bulk(
      'leases',
      missing.map((partition): Write => {
        const { _id, ...rest } = newLease(partition)
        return { updateOne: { filter: { _id }, update: { $setOnInsert: rest }, upsert: true } }
      }),
    ),
  )
  await inserted(
    database.bulk('relays', [
      { updateOne: { filter: { _id: request.holder }, update: { $setOnInsert: { beat: 0 } }, upsert: true } },
    ]),
  )
  return { source }
}

/** `LeasedSource.poll`: one write, and a look at the fronts of the same indexes as `fetch`. */
export async function poll(context: Context, request: Request<'poll'>): Promise<Poll> {
  const { database } = context
  const renewed = await database.findOneAndUpdate('relays', { _id: request.holder }, { $inc: { beat: 1 } })
  const [relays, leases, due] = await Promise.all([
    database.find('relays', {}),
    database.find('leases', {}, { projection: { holder: 1, epoch: 1 }, sort: { _id: 1 } }),
    database.now().then((now) => duePartitions(context, now)),
  ])
  return {
    isMember: renewed !== undefined,
    relays: relays.map((relay) => ({ holder: textIn(relay, '_id'), beat: numberIn(relay, 'beat') })),
    leases: leases.map((lease) => ({
      partition: numberIn(lease, '_id'),
      epoch: numberIn(lease, 'epoch'),
      holder: textOrNullIn(lease, 'holder'),
    })),
    duePartitions: due,
  }
}

/**
 * `LeasedSource.acquire`: a write of each lease's document grants it; then what its earlier holders left is completed.
 *
 * A holder that is absent from the relays stays absent, for no holder joins twice. So what was seen before the grant
 * still holds at it, and the grant asks for the epoch and the holder that were seen.
 */
export async function acquire(context: Context, request: Request<'acquire'>): Promise<readonly GrantedLease[]> {
  const { database } = context
  const { holder, claims, evict } = request
  await database.bulk(
    'relays',
    evict.map((relay) => ({ deleteOne: { filter: { _id: relay.holder, beat: relay.beat } } })),
  )
  const alive = new Set(
    (await database.find('relays', {}, { projection: { _id: 1 } })).map((relay) => textIn(relay, '_id')),
  )
  if (!alive.has(holder) || claims.length === 0) return []
  const before = await leaseDocuments(
    context,
    claims.map(({ partition }) => partition),
  )
  const free = claims.flatMap((claim) => {
    const document = before.get(claim.partition)
    if (!document || numberIn(document, 'epoch') !== claim.epoch) return []
    const seen = textOrNullIn(document, 'holder')
    return seen === null || !alive.has(seen) ? [{ claim, seen }] : []
  })
  if (free.length === 0) return []
  await database.bulk(
    'leases',
    free.map(({ claim, seen }) => granting(holder, claim, seen)),
  )
  const after = await leaseDocuments(
    context,
    free.map(({ claim }) => claim.partition),
  )
  const granted = free
    .map(({ claim }): Lease => ({ partition: claim.partition, epoch: epochFor(claim), holder }))
    .filter((lease) => stands(after.get(lease.partition) ?? {}, lease))
  await complete(context, among(after, granted))
  const suspected = await partitionsWithSuspects(context, granted)
  return granted
    .map((lease): GrantedLease => ({ ...lease, hasSuspects: suspected.has(lease.partition) }))
    .sort((a, b) => a.partition - b.partition)
}

function epochFor({ epoch, above = 0 }: LeaseClaim): number {
  return Math.max(epoch, above) + 1
}

/** Only a lease with nothing left to do gets notes, so there are never notes and suspects at once. */
function granting(holder: string, claim: LeaseClaim, seen: string | null): Write {
  const hadNotes = { $gt: [{ $size: '$inFlight' }, 0] }
  return {
    updateOne: {
      filter: { _id: claim.partition, epoch: claim.epoch, holder: seen },
      update: [
        {
          $set: {
            holder: { $literal: holder },
            epoch: epochFor(claim),
            suspects: { $cond: [hadNotes, { epoch: '$epoch', ids: '$inFlight' }, '$suspects'] },
            inFlight: [],
            formerLog: '$lastLog',
          },
        },
      ],
    },
  }
}

/** `LeasedSource.release`. */
export async function release(context: Context, request: Request<'release'>): Promise<void> {
  const { database } = context
  const own = request.leases.filter((lease) => lease.holder === request.holder)
  if (request.leave) await database.deleteMany('relays', { _id: request.holder })
  for (let rest: readonly Lease[] = own; rest.length > 0; ) {
    const met = await database.bulk(
      'leases',
      rest.map((lease) => ({
        updateOne: {
          filter: standingAndDone(context, lease),
          update: { $set: { holder: null, inFlight: [], log: null } },
        },
      })),
    )
    if (met === rest.length) return
    const documents = await leaseDocuments(
      context,
      rest.map(({ partition }) => partition),
    )
    rest = rest.filter((lease) => stands(documents.get(lease.partition) ?? {}, lease))
    await complete(context, among(documents, rest))
  }
}

/** Of two that insert the same document at once, one is told of a duplicate: it is there, which is all that matters. */
async function inserted(insertion: Promise<unknown>): Promise<void> {
  try {
    await insertion
  } catch (error) {
    if (!isDuplicate(error)) throw error
  }
}
