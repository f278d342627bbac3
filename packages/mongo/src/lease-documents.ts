import type { Lease } from '@outbox/core'
import type { Context } from './context.ts'
import type { Write } from './database.ts'
import { applying, logIn } from './settle-log.ts'
import { type Document, documentIn, isAbsent, numberIn, textIn, textOrNullIn, valuesIn } from './values.ts'

/**
 * The 64 documents of the leases: `_id` is the partition.
 *
 * - `holder`, `epoch`: the fence. Every write under a lease is a write of this document first, and asks for both.
 * - `inFlight`: the entries that are lent, noted before they are given out; `noteId`: the last such note
 * - `moving`: the entries that a fetch is about to set aside, until it has
 * - `log`: what a settle said, until it is applied
 * - `suspects`: what was in flight under a lease that was taken over, until its crashes are counted
 * - `lastLog`, `formerLog`: ids, for a settle that asks whether it came before a take-over
 */
export function newLease(partition: number): Document {
  return {
    _id: partition,
    holder: null,
    epoch: 0,
    inFlight: [],
    moving: null,
    log: null,
    suspects: null,
    lastLog: null,
    formerLog: null,
  }
}

/**
 * Asks for a lease that stands and has nothing left to do. All of it is one document, so the write that asks for it and
 * the write that takes the lease over come one after the other.
 */
export function standingAndDone({ applied }: Context, { partition, epoch, holder }: Lease): Document {
  const isApplied = { 'log.id': { $in: [null, applied.get(partition)?.log ?? null] } }
  return { _id: partition, epoch, holder, suspects: null, moving: null, ...isApplied }
}

export function stands(document: Document, lease: Lease): boolean {
  return document['epoch'] === lease.epoch && document['holder'] === lease.holder
}

export function isDone({ applied }: Context, document: Document): boolean {
  const log = logIn(document)
  const isClear = isAbsent(document['suspects']) && isAbsent(document['moving'])
  return isClear && (!log || applied.get(numberIn(document, '_id'))?.log === log.id)
}

/** All of it, and the server's clock. */
const fields: Document = Object.freeze({
  ...Object.fromEntries(Object.keys(newLease(0)).map((field) => [field, 1])),
  noteId: 1,
  now: '$$NOW',
})

/** The documents of partitions, by partition; `now` of each is the server's clock. */
export async function leaseDocuments(
  { database }: Context,
  partitions: Iterable<number>,
): Promise<ReadonlyMap<number, Document>> {
  const documents = await database.find('leases', { _id: { $in: [...partitions] } }, { projection: fields })
  return new Map(documents.map((document) => [numberIn(document, '_id'), document]))
}

/** Those of the documents that are there. */
export function among(
  documents: ReadonlyMap<number, Document>,
  leases: readonly Pick<Lease, 'partition'>[],
): Document[] {
  return leases.map(({ partition }) => documents.get(partition)).filter((document) => document !== undefined)
}

/**
 * Does what a lease's document says is still to be done: applies the log, makes what a fetch meant to set aside miss its
 * mark, and counts crashes. Everybody may do it, at once and again; each part takes effect once.
 *
 * After it no call of an earlier holder changes anything: its settles are applied, each entry that it was about to move
 * has another version, and its next write of this document does not fit.
 */
export async function complete(context: Context, documents: readonly Document[]): Promise<void> {
  const { database, applied } = context
  const unfinished = documents.filter((document) => !isDone(context, document))
  if (unfinished.length === 0) return
  await database.bulk('entries', applying(unfinished.flatMap((document) => logIn(document) ?? [])))
  const moving = unfinished.flatMap((document) => movingIn(document)?.ids ?? [])
  if (moving.length > 0) await database.updateMany('entries', { _id: { $in: moving } }, { $inc: { moves: 1 } })
  await database.bulk('entries', unfinished.flatMap(countingCrashes))
  await database.bulk('leases', unfinished.flatMap(clearing))
  const at = database.seenUpTo()
  for (const document of unfinished) {
    const log = logIn(document)
    if (log) applied.set(numberIn(document, '_id'), { log: log.id, at })
  }
}

/** Every suspect is marked, whatever has become of it, so that no later count of the same crash finds it unmarked. */
function countingCrashes(document: Document): Write[] {
  if (isAbsent(document['suspects'])) return []
  const suspects = documentIn(document, 'suspects')
  const epoch = numberIn(suspects, 'epoch')
  const isPending = { $eq: ['$state', 'pending'] }
  return [
    {
      updateMany: {
        filter: { _id: { $in: valuesIn(suspects, 'ids') }, crashedUnder: { $lt: epoch } },
        update: [{ $set: { crashedUnder: epoch, crashes: { $add: ['$crashes', { $cond: [isPending, 1, 0] }] } } }],
      },
    },
  ]
}

/** Clears what was done, and nothing that was written since. */
function clearing(document: Document): Write[] {
  const { _id, epoch } = document
  const log = logIn(document)
  const moving = movingIn(document)
  const lease = { _id, epoch, holder: textOrNullIn(document, 'holder') }
  const done: Write = {
    updateOne: { filter: { ...lease, 'log.id': log?.id ?? null }, update: { $set: { log: null, suspects: null } } },
  }
  if (!moving) return [done]
  return [done, { updateOne: { filter: { ...lease, 'moving.id': moving.id }, update: { $set: { moving: null } } } }]
}

function movingIn(document: Document): { readonly id: string; readonly ids: readonly unknown[] } | undefined {
  if (isAbsent(document['moving'])) return undefined
  const moving = documentIn(document, 'moving')
  return { id: textIn(moving, 'id'), ids: valuesIn(moving, 'ids') }
}
