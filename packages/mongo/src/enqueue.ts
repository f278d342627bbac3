import type { NewEntry, OutboxError, Receipt } from '@outbox/core'
import { aggregateKey, entriesToWrite, receiptsFor, type Stored, sequenceConflict } from '@outbox/core/adapter'
import { inChunks } from './chunks.ts'
import type { Database } from './database.ts'
import { aggregateNameOf, aggregateOf, newDocument } from './entries.ts'
import type { Names } from './names.ts'
import { type Numbered, numberedIn } from './numbering.ts'
import type { Transaction } from './transaction.ts'
import { uuidsLike, uuidText } from './uuids.ts'
import { type Document, numberIn, textIn } from './values.ts'

export interface EnqueueOptions {
  readonly names: Names
  /** outside the transaction; only asked for its clock */
  readonly database: Database
  readonly positionAt: (now: Date) => number
}

/**
 * Writes a batch in the caller's transaction.
 *
 * All that can be known is looked up before the first write, because a write that fails ends the transaction: ids that
 * are there, sequences that are taken, the way a type is numbered. What others commit after the transaction's snapshot
 * makes a write fail, and the caller runs the transaction again; then it is seen.
 */
export async function enqueue(
  options: EnqueueOptions,
  transaction: Transaction,
  entries: readonly NewEntry[],
): Promise<readonly Receipt[]> {
  const { names } = options
  const toUuid = uuidsLike(transaction.session)
  const stored = await storedBefore(names, transaction, entries)
  const fresh = entriesToWrite(entries.filter(({ id }) => !stored.has(id)))
  if (fresh.length > 0) {
    const { numbered, now, updates } = await numberedIn(names, transaction, fresh)
    await refuseConflicts(names, transaction, numbered)
    const enqueuedAt = now ?? (await options.database.now())
    for (const some of inChunks(updates)) await transaction.update(names.sequences, some)
    const documents = numbered.map((entry) => {
      stored.set(entry.id, { sequence: entry.sequence, isNew: true })
      return newDocument(entry, toUuid, { position: options.positionAt(enqueuedAt), enqueuedAt })
    })
    for (const command of inCommands(documents)) {
      await transaction.insert(names.entries, command, (place, key) => takenNumber(command[place], key))
    }
  }
  return receiptsFor(entries, fresh, stored)
}

/** What is known of ids that are in the outbox already. */
async function storedBefore(
  { entries: collection }: Names,
  transaction: Transaction,
  entries: readonly NewEntry[],
): Promise<Map<string, Stored>> {
  const toUuid = uuidsLike(transaction.session)
  const stored = new Map<string, Stored>()
  for (const some of inChunks(entries.map(({ id }) => toUuid(id)))) {
    const found = await transaction.find(collection, { _id: { $in: some } }, { projection: { sequence: 1 } })
    for (const one of found) stored.set(uuidText(one['_id']), { sequence: numberIn(one, 'sequence'), isNew: false })
  }
  return stored
}

/** @throws {OutboxError} `sequence-conflict`, naming the first; the transaction stays usable */
async function refuseConflicts(
  { entries: collection }: Names,
  transaction: Transaction,
  numbered: readonly Numbered[],
): Promise<void> {
  const given = numbered.filter(({ numberedBy }) => numberedBy === 'caller')
  const byPlace = new Map<string, Numbered>()
  for (const entry of given) {
    const place = placeOf(entry)
    if (byPlace.has(place)) throw sequenceConflict(entry)
    byPlace.set(place, entry)
  }
  for (const some of inChunks(given)) {
    const [taken] = await transaction.find(
      collection,
      { $or: placesOf(some) },
      { projection: { _id: 0, aggregate: 1, sequence: 1 } },
    )
    if (taken) throw sequenceConflict({ ...aggregateNameOf(taken), sequence: numberIn(taken, 'sequence') })
  }
}

/**
 * A number that the store gave is free, since whoever numbers an aggregate keeps all others out. If it is taken, the
 * counters are behind the entries, and another run would meet the same.
 */
function takenNumber(document: Document | undefined, key: Document): OutboxError<'sequence-conflict'> | undefined {
  if (document?.['numberedBy'] !== 'store' || !('sequence' in key)) return undefined
  return sequenceConflict({ ...aggregateNameOf(document), sequence: numberIn(document, 'sequence') })
}

/** One condition per aggregate: the index `sequence`, range by range. */
function placesOf(entries: readonly Numbered[]): readonly Document[] {
  const sequences = new Map<string, { readonly aggregate: Document; readonly taken: number[] }>()
  for (const entry of entries) {
    const key = aggregateKey(entry)
    const known = sequences.get(key)
    if (known) known.taken.push(entry.sequence)
    else sequences.set(key, { aggregate: aggregateOf(entry), taken: [entry.sequence] })
  }
  return [...sequences.values()].map(({ aggregate, taken }) => ({ aggregate, sequence: { $in: taken } }))
}

function placeOf(entry: Numbered): string {
  return `${entry.sequence} ${aggregateKey(entry)}`
}

/** A command may hold 16 MiB, and an entry 1 KiB of names and our own fields besides what is counted. */
const commandBytes = 12 * 1024 * 1024
const commandDocuments = 1_000

function* inCommands(documents: readonly Document[]): Generator<readonly Document[]> {
  let command: Document[] = []
  let bytes = 0
  for (const document of documents) {
    const size = numberIn(document, 'payloadBytes') + textIn(document, 'headers').length * 3
    if (command.length >= commandDocuments || (command.length > 0 && bytes + size > commandBytes)) {
      yield command
      command = []
      bytes = 0
    }
    command.push(document)
    bytes += size
  }
  if (command.length > 0) yield command
}
