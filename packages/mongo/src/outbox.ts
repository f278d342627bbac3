import {
  type Enqueueable,
  type LeasedSource,
  type OneOrMany,
  type OutboxStore,
  type Receipt,
  uuidv7Generator,
} from '@outbox/core'
import { bulkDeadLetters, checkedPurge, entriesFrom, knownOptions } from '@outbox/core/adapter'
import { check, type Subject } from './check.ts'
import { type Context, under } from './context.ts'
import { causally, collectionsOf, databaseOf } from './database.ts'
import { discardDead, listDead, requeueDead } from './dead-letters.ts'
import type { MongoClient, MongoDatabase, MongoSession } from './driver.ts'
import { enqueue } from './enqueue.ts'
import { fetch } from './fetch.ts'
import { layoutVersion } from './layout.ts'
import { acquire, join, poll, release } from './leases.ts'
import { callOf, type Names, namesIn, outboxKinds, type Place } from './names.ts'
import { checkConnection, checkMaxPayloadBytes, refused } from './options.ts'
import { newPositions } from './positions.ts'
import { purge } from './purge.ts'
import { settle } from './settle.ts'
import { stats } from './stats.ts'
import { fetchUnpublished, markPublished } from './trait.ts'
import { transactionOn } from './transaction.ts'
import { uuidsOf } from './uuids.ts'
import { keepWatching } from './wake.ts'

export interface MongoOutboxOptions extends Place {
  /** the driver's client, whose sessions `enqueue` gets; the outbox never closes it */
  readonly client: MongoClient
  /** the database of that client in which the collections of the outbox are */
  readonly db: MongoDatabase
  /** largest payload, in bytes of JSON; default 1 MiB, at most 12 MiB */
  readonly maxPayloadBytes?: number | undefined
  /** mints the ids of events that bring none; default UUIDv7, ascending in this process */
  readonly ids?: (() => string) | undefined
  /** false: no change stream is kept open, and relays poll. Default true */
  readonly watch?: boolean | undefined
}

/** An outbox in MongoDB. */
export interface MongoOutbox extends OutboxStore<MongoSession> {
  /**
   * As `Outbox.enqueue`. Several at once in one transaction are done one after the other. Events without ids get new ones
   * in each run of `withTransaction`.
   */
  readonly enqueue: (session: MongoSession, events: OneOrMany<Enqueueable>) => Promise<readonly Receipt[]>
  /** As `LeasedSource.subscribe`, by a change stream that is kept open. Disposing closes it. */
  subscribe(wake: () => void): Promise<AsyncDisposable>
}

/**
 * An outbox in MongoDB, through the application's own client.
 *
 * Making one sends nothing. `enqueue` runs in the transaction of the session that it is given; everything else runs
 * outside of transactions, reads what a majority has, and writes to a majority.
 *
 * `session.withTransaction` may run its callback again: each run enqueues anew, and the receipts of the run that
 * commits are the ones that count. Events that bring no id get another one in each run.
 *
 * @example
 * ```ts
 * const outbox = mongoOutbox({ client, db })
 * await client.withSession((session) =>
 *   session.withTransaction(async () => {
 *     await orders.insertOne(order, { session })
 *     await outbox.enqueue(session, event('order.placed', { aggregateId: order.id, payload: order }))
 *   }),
 * )
 * ```
 * @throws {OutboxError} `invalid-option`, naming the option and what to write instead
 */
export function mongoOutbox(options: MongoOutboxOptions): MongoOutbox {
  const known = { client: true, db: true, prefix: true, maxPayloadBytes: true, ids: true, watch: true }
  const given = knownOptions('mongoOutbox', options, known)
  const { client, db, watch = true, ids = uuidv7Generator() } = given
  checkConnection(given)
  if (typeof ids !== 'function') throw refused('ids', 'must be a function that returns a UUID.')
  if (typeof watch !== 'boolean') throw refused('watch', 'must be true or false.')
  const names = namesIn(given)
  const database = databaseOf(db, names)
  const context: Context = {
    names,
    database,
    toUuid: uuidsOf(client),
    newLeaseWriteId: uuidv7Generator(),
    applied: new Map(),
    full: new Map(),
    source: { name: undefined },
  }
  const entryOptions = { newId: ids, now: Date.now, maxPayloadBytes: checkMaxPayloadBytes(given.maxPayloadBytes) }
  const enqueueOptions = { names, database, positionAt: newPositions() }

  return Object.freeze({
    async enqueue(session: MongoSession, events: OneOrMany<Enqueueable>) {
      const entries = entriesFrom(events, entryOptions)
      const transaction = transactionOn(db, session, 'enqueue')
      return transaction.inTurn(() => enqueue(enqueueOptions, transaction, entries))
    },
    subscribe: async (wake) => (watch ? keepWatching(() => watchEntries(db, names), wake) : nothingToEnd),
    ...relaySide(client, context),
  } satisfies MongoOutbox)
}

/** The relay's half. Each call gets the context of its own signal: once that is aborted, it sends nothing more. */
function relaySide(client: MongoClient, context: Context): LeasedSource {
  return {
    fetchUnpublished: (limit, call) => fetchUnpublished(context, limit, call),
    markPublished: (ids, call) => markPublished(context, ids, call),
    check: (call) => check(context.database, subject(context.names), call),
    join: (request) => join(under(context, request), request),
    poll: (request) => poll(under(context, request), request),
    acquire: (request) => causally(client, (causal) => acquire(under(context, request, causal), request)),
    release: (request) => causally(client, (causal) => release(under(context, request, causal), request)),
    fetch: (request) => causally(client, (causal) => fetch(under(context, request, causal), request)),
    settle: (request) => causally(client, (causal) => settle(under(context, request, causal), request)),
    stats: (call) => stats(context, call),
    purge: async (request) => purge(context.database, { kind: 'entries', time: 'endedAt' }, checkedPurge(request)),
    deadLetters: bulkDeadLetters({
      list: (page) => listDead(context, page),
      requeue: (ids, call) => requeueDead(context, ids, call),
      discard: (ids, call) => discardDead(context, ids, call),
    }),
  }
}

function subject(names: Names): Subject {
  return {
    title: 'outbox',
    names,
    kinds: outboxKinds,
    versionKey: 'version',
    version: layoutVersion,
    remedy: `Call ${callOf('setup', names)}, once, with a user who may create collections and indexes. Drop an index that is different first.`,
  }
}

/** As little of each insert as a stream can carry. */
function watchEntries(db: MongoDatabase, names: Names) {
  const inserts = [{ $match: { operationType: 'insert' } }, { $project: { _id: 1 } }]
  return collectionsOf(db, names)('entries').watch(inserts as never)
}

const nothingToEnd: AsyncDisposable = Object.freeze({ [Symbol.asyncDispose]: async () => undefined })
