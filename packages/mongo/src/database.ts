import type { CallOptions } from '@outbox/core'
import { untilAborted } from '@outbox/core/adapter'
import type { MongoClient, MongoCollection, MongoDatabase, OwnSession } from './driver.ts'
import { translated } from './errors.ts'
import type { CollectionKind, Names } from './names.ts'
import { reconnectAfter } from './reconnect.ts'
import type { WriteTime } from './settle-log.ts'
import { type Document, dateIn, documentsOf, isDocument, numberIn, unexpected } from './values.ts'

/** How values come back, whatever the client's own options are. */
const bsonOptions = Object.freeze({
  promoteValues: true,
  promoteLongs: true,
  promoteBuffers: false,
  useBigInt64: false,
  raw: false,
  ignoreUndefined: false,
})

/** The answer in one piece, as far as it fits into 16 MiB: the driver asks for 101 documents at first. */
const wholeBatch = Object.freeze({ batchSize: 100_000 })

/** One instant of what a majority has: nothing that a query meets on its way was committed after it began. */
const snapshot = Object.freeze({ readConcern: { level: 'snapshot' } })

export interface FindOptions {
  readonly projection?: Document
  readonly sort?: Document
  readonly limit?: number
}

/** One write of a `bulk`. */
export type Write =
  | {
      readonly updateOne: {
        readonly filter: Document
        readonly update: Document | readonly Document[]
        readonly upsert?: boolean
      }
    }
  | { readonly updateMany: { readonly filter: Document; readonly update: Document | readonly Document[] } }
  | { readonly deleteOne: { readonly filter: Document } }

/**
 * The seam to the driver for all that runs outside a caller's transaction: reads on the primary of what a majority has,
 * writes that a majority has before they return. Each is atomic per document, and commits by itself.
 *
 * Every call throws what `translated` makes of the driver's error. An aborted call sends nothing more.
 */
export interface Database {
  find(kind: CollectionKind, filter: Document, options?: FindOptions): Promise<readonly Document[]>
  /** At one instant: a later commit is not seen, however long the query takes. */
  findAtOnce(kind: CollectionKind, filter: Document, options?: FindOptions): Promise<readonly Document[]>
  aggregate(kind: CollectionKind, pipeline: readonly Document[]): Promise<readonly Document[]>
  aggregateAtOnce(kind: CollectionKind, pipeline: readonly Document[]): Promise<readonly Document[]>
  /** @returns how many documents it met */
  updateMany(kind: CollectionKind, filter: Document, update: Document | readonly Document[]): Promise<number>
  findOneAndUpdate(
    kind: CollectionKind,
    filter: Document,
    update: Document | readonly Document[],
    options?: { readonly upsert?: boolean },
  ): Promise<Document | undefined>
  deleteMany(kind: CollectionKind, filter: Document): Promise<number>
  /** The indexes that are there. @throws the driver's own error where the collection is not */
  indexes(kind: CollectionKind): Promise<readonly Document[]>
  /** Each write by itself, in any order. @returns how many documents the updates met */
  bulk(kind: CollectionKind, writes: readonly Write[]): Promise<number>
  /** What the server says of itself, its clock included. */
  hello(): Promise<Document>
  /** The server's clock. */
  now(): Promise<Date>
  /** The time of the last read or write of this call's session; undefined without one. */
  seenUpTo(): WriteTime
  /** What this call's session reads from now on shows what was so at that time. */
  readFrom(time: WriteTime): void
  /** The same database, for one call of the store's; it reads and writes in `session`. */
  under(options: CallOptions | undefined, causal?: Causal): Database
}

/**
 * Runs a call with a session: none of its reads shows less than what it read or wrote before, though another member may
 * have become primary in between.
 */
export async function causally<T>(client: MongoClient, work: (causal: Causal) => Promise<T>): Promise<T> {
  const session = client.startSession({ causalConsistency: true } as never)
  const underWay = new Set<Promise<unknown>>()
  try {
    return await work({ session, underWay })
  } finally {
    // what was given up may be under way still: whoever is given the session next would meet it there
    const ended = Promise.allSettled(underWay).then(() => session.endSession())
    if (underWay.size === 0) await ended
  }
}

/** A session, and what was sent in it and has not come back. */
export interface Causal {
  readonly session: OwnSession
  readonly underWay: Set<Promise<unknown>>
}

export function databaseOf(db: MongoDatabase, names: Names): Database {
  return database(db, collectionsOf(db, names))
}

type Collections = (kind: CollectionKind) => MongoCollection

/** The collections with the concerns that the outbox relies on. */
export function collectionsOf(db: MongoDatabase, names: Names): Collections {
  const options = optionsOf(db)
  return (kind) => db.collection(names[kind], options as never)
}

/** What holds for all that the outbox sends, whatever the client's own options are. */
export function optionsOf(db: MongoDatabase): Document {
  return {
    ...bsonOptions,
    readPreference: 'primary',
    readConcern: { level: 'majority' },
    writeConcern: writeConcernOf(db),
  }
}

/**
 * Majority, unless the user's own is stronger: one with a name, of tags that they defined. A number is not: how many
 * members are a majority is not for the client to know.
 */
function writeConcernOf(db: MongoDatabase): Document {
  const own = 'writeConcern' in db && isDocument(db.writeConcern) ? db.writeConcern : {}
  const w = typeof own['w'] === 'string' ? own['w'] : 'majority'
  const isJournaled = own['journal'] === true || own['j'] === true
  return isJournaled ? { w, journal: true } : { w }
}

function database(db: MongoDatabase, collections: Collections, signal?: AbortSignal, causal?: Causal): Database {
  const session = causal?.session
  const inSession = session ? { session } : {}
  const reading = { ...wholeBatch, ...inSession }
  const call = async <T>(send: () => Promise<T>): Promise<T> => {
    signal?.throwIfAborted()
    try {
      return await untilAborted(noted(send(), causal?.underWay), signal)
    } catch (error) {
      signal?.throwIfAborted()
      throw translated(reconnectAfter(error, db))
    }
  }
  const find = async (kind: CollectionKind, filter: Document, options: object): Promise<readonly Document[]> =>
    documentsOf(
      await call(() =>
        collections(kind)
          .find(filter as never, { ...reading, ...options } as never)
          .toArray(),
      ),
    )
  const aggregate = async (kind: CollectionKind, stages: readonly Document[], options: object) =>
    documentsOf(
      await call(() =>
        collections(kind)
          .aggregate(stages as never, { ...reading, ...options } as never)
          .toArray(),
      ),
    )
  const hello = async (): Promise<Document> => {
    const options = { ...bsonOptions, readPreference: 'primary' }
    const answer = await call(() => db.command({ hello: 1 } as never, options as never))
    return isDocument(answer) ? answer : unexpected('hello', answer)
  }
  return {
    find: (kind, filter, options = {}) => find(kind, filter, options),
    findAtOnce: (kind, filter, options) => find(kind, filter, { ...options, ...snapshot }),
    aggregate: (kind, pipeline) => aggregate(kind, pipeline, {}),
    aggregateAtOnce: (kind, pipeline) => aggregate(kind, pipeline, snapshot),
    updateMany: async (kind, filter, update) =>
      countIn(
        await call(() => collections(kind).updateMany(filter as never, update as never, inSession as never)),
        'matchedCount',
      ),
    async findOneAndUpdate(kind, filter, update, { upsert = false } = {}) {
      const options = { upsert, returnDocument: 'after', includeResultMetadata: false, ...inSession }
      const found = await call(() =>
        collections(kind).findOneAndUpdate(filter as never, update as never, options as never),
      )
      return isDocument(found) ? found : undefined
    },
    deleteMany: async (kind, filter) =>
      countIn(await call(() => collections(kind).deleteMany(filter as never, inSession as never)), 'deletedCount'),
    indexes: async (kind) => documentsOf(await call(() => collections(kind).listIndexes().toArray())),
    bulk: async (kind, writes) =>
      writes.length === 0
        ? 0
        : countIn(
            await call(() => collections(kind).bulkWrite(writes as never, { ordered: false, ...inSession } as never)),
            'matchedCount',
          ),
    hello,
    now: async () => dateIn(await hello(), 'localTime'),
    seenUpTo: () => session?.operationTime,
    readFrom(time) {
      if (time) session?.advanceOperationTime(time as never)
    },
    under: (options, own) => database(db, collections, options?.signal, own),
  }
}

/** The same promise; while it is open it stands in `underWay`. */
function noted<T>(sent: Promise<T>, underWay: Set<Promise<unknown>> | undefined): Promise<T> {
  const settled = (): unknown => underWay?.delete(sent)
  underWay?.add(sent)
  sent.then(settled, settled)
  return sent
}

/** A count of a driver's result, which may be a getter of a class. */
function countIn(result: unknown, field: string): number {
  return isDocument(result) ? numberIn(result, field) : unexpected(field, result)
}
