import type { DueEntry, FetchRequest, Lease } from '@outbox/core'
import { aggregateKey, groupedBy } from '@outbox/core/adapter'
import { putBack } from './aside.ts'
import type { Context } from './context.ts'
import type { Write } from './database.ts'
import { lentContent, lentFields } from './entries.ts'
import { publishedAbove } from './late.ts'
import { complete, isDone, leaseDocuments, standingAndDone, stands } from './lease-documents.ts'
import { lentFrom } from './lent.ts'
import { sourceOf } from './meta.ts'
import { type Beginning, beginnings } from './prefixes.ts'
import { findCandidates, look } from './scan.ts'
import { logIn } from './settle-log.ts'
import { oldestSuspect } from './suspects.ts'
import { uuidText } from './uuids.ts'
import { type Document, dateIn, numberIn, valuesIn, whole } from './values.ts'

/**
 * `LeasedSource.fetch`: looks, decides, and then notes what it will lend in the leases' documents. Only what was noted
 * under a lease that stands is lent. Between the look and the note nobody else can have settled: that would have been
 * under another lease, or have left its mark in the lease's document.
 */
export async function fetch(context: Context, given: FetchRequest): Promise<readonly DueEntry[]> {
  const limits = { limit: whole(given.limit), limitPerAggregate: whole(given.limitPerAggregate) }
  const request = { ...given, ...limits }
  if (request.leases.length === 0 || request.limit === 0 || request.limitPerAggregate === 0) return []
  // first of all: what is read of the entries has to be younger than the leases' documents
  const held = await standing(context, request.leases)
  const [now] = held.map(({ document }) => dateIn(document, 'now'))
  if (!now) return []
  const leases = held.map(({ lease }) => lease)
  const seen = await look(context, leases, request.limit, now)
  const suspect = seen.hasSuspects ? await oldestSuspect(context, leases, now) : undefined
  const found = suspect
    ? [suspect]
    : await beginnings(context, await findCandidates(context, leases, request, now, seen), request)
  const entries = await contents(context, found)
  const lent = await note(context, held, entries)
  await putBack(
    context,
    found.flatMap(({ taken, next }) => (next ? [...taken, next] : taken)),
  )
  return lent
}

/** A lease that stands, as its document was when the fetch began. */
interface Held {
  readonly lease: Lease
  readonly document: Document
}

async function standing(context: Context, leases: readonly Lease[]): Promise<readonly Held[]> {
  const partitions = leases.map(({ partition }) => partition)
  // a primary that was elected since may not show yet what this process has applied, and knows to be
  for (const partition of partitions) context.database.readFrom(context.applied.get(partition)?.at)
  let documents = await leaseDocuments(context, partitions)
  const isMine = (lease: Lease): boolean => stands(documents.get(lease.partition) ?? {}, lease)
  const unfinished = leases.filter(isMine).flatMap(({ partition }) => {
    const document = documents.get(partition)
    return document && !isDone(context, document) ? [document] : []
  })
  if (unfinished.length > 0) {
    await complete(context, unfinished)
    documents = await leaseDocuments(context, partitions)
  }
  return leases.filter(isMine).flatMap((lease) => {
    const document = documents.get(lease.partition)
    // a settle that came in between is not applied yet: what was read would be of before it
    return document && isDone(context, document) ? [{ lease, document }] : []
  })
}

/** The entries in the order in which they are lent. What was not read along, and has ended meanwhile, is left out. */
async function contents({ database }: Context, found: readonly Beginning[]): Promise<readonly Document[]> {
  const taken = found.flatMap((beginning) => beginning.taken)
  const ids = taken.filter(({ content }) => !content).map(({ id }) => id)
  const filter = { _id: { $in: ids }, state: 'pending' }
  const documents = ids.length > 0 ? await database.find('entries', filter, { projection: lentFields }) : []
  const byId = new Map(documents.map((document) => [uuidText(document['_id']), document]))
  return taken.map(({ id, content }) => content ?? byId.get(uuidText(id))).filter((one) => one !== undefined)
}

/** Notes what is lent, in the place of what was noted before. @returns what is lent under leases that still stand */
async function note(
  context: Context,
  held: readonly Held[],
  entries: readonly Document[],
): Promise<readonly DueEntry[]> {
  const { database } = context
  const ids = groupedBy(entries, (entry) => numberIn(entry, 'partition'))
  const concerned = held.filter(
    ({ lease, document }) => ids.has(lease.partition) || valuesIn(document, 'inFlight').length > 0,
  )
  if (concerned.length === 0) return []
  const [source, above] = await Promise.all([sourceOf(context), publishedAbove(context, entries)])
  const noteId = context.newLeaseWriteId()
  const met = await database.bulk(
    'leases',
    concerned.map((one) => noting(context, one, noteId, ids)),
  )
  const documents = met === concerned.length ? undefined : await leaseDocuments(context, ids.keys())
  const leases = new Map(held.map(({ lease }) => [lease.partition, lease]))
  return entries.flatMap((document) => {
    const lease = leases.get(numberIn(document, 'partition'))
    const noted = lease && documents?.get(lease.partition)
    if (!lease || (documents && (noted?.['noteId'] !== noteId || !stands(noted, lease)))) return []
    const { partition: _, ...entry } = lentContent(document)
    const isLate = numberIn(document, 'requeues') === 0 && entry.sequence < (above.get(aggregateKey(entry)) ?? -1)
    return [lentFrom(numberIn(document, 'position'), { ...entry, lease, source, isLate })]
  })
}

/**
 * Fits only if neither a settle came between, whose log would be another than the one that was seen, or would have been
 * there meanwhile, nor a fetch.
 */
function noting(
  context: Context,
  { lease, document }: Held,
  noteId: string,
  ids: ReadonlyMap<number, readonly Document[]>,
): Write {
  const inFlight = (ids.get(lease.partition) ?? []).map(({ _id }) => _id)
  return {
    updateOne: {
      filter: {
        ...standingAndDone(context, lease),
        'log.id': logIn(document)?.id ?? null,
        lastLog: document['lastLog'] ?? null,
        noteId: document['noteId'] ?? null,
      },
      update: { $set: { inFlight, noteId, log: null } },
    },
  }
}
