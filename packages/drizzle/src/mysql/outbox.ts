import {
  type Enqueueable,
  type LeasedSource,
  type OneOrMany,
  OutboxError,
  type OutboxStore,
  type Receipt,
  uuidv7Generator,
  type Wake,
} from '@outbox/core'
import { bulkDeadLetters, checkedPurge, entriesFrom, knownOptions } from '@outbox/core/adapter'
import { checkMaxPayloadBytes } from '../shared/options.ts'
import { check, checkRoom, outboxSubject } from './check.ts'
import { commitsOf } from './commits.ts'
import { discardDead, listDead, requeueDead } from './dead-letters.ts'
import { enqueue } from './enqueue.ts'
import { fetch } from './fetch.ts'
import { checkDatabase, checkPool, type MysqlDatabase, type MysqlTransaction } from './handles.ts'
import { acquire, join, poll, release } from './leases.ts'
import { type Names, namesIn, type Place, placeOptions } from './names.ts'
import type { Use } from './privileges.ts'
import { purge } from './purge.ts'
import { type Session, sessionOn } from './session.ts'
import { settle } from './settle.ts'
import { stats } from './stats.ts'
import { fetchUnpublished, markPublished } from './trait.ts'

export interface MysqlOutboxOptions extends Place {
  /** a drizzle database over a pool of mysql2; the outbox never closes it */
  readonly db: MysqlDatabase
  /** largest payload, in bytes of JSON; default 1 MiB */
  readonly maxPayloadBytes?: number | undefined
  /** mints the ids of events that bring none; default UUIDv7, ascending in this process */
  readonly ids?: (() => string) | undefined
}

/** An outbox in MySQL or MariaDB. */
export interface MysqlOutbox extends OutboxStore<MysqlTransaction> {
  /** As `Outbox.enqueue`. Several at once in one transaction are done one after the other. */
  readonly enqueue: (tx: MysqlTransaction, events: OneOrMany<Enqueueable>) => Promise<readonly Receipt[]>
  subscribe(wake: Wake): Promise<AsyncDisposable>
}

/**
 * An outbox in MySQL or MariaDB, through the application's own drizzle database.
 *
 * Making one sends nothing. `enqueue` runs on the transaction that it is given; everything else runs on `db`, in
 * statements that commit by themselves, so `db` must not be inside a transaction: give it a pool.
 *
 * @example
 * ```ts
 * const outbox = mysqlOutbox({ db })
 * await db.transaction(async (tx) => {
 *   await tx.insert(orders).values(order)
 *   await outbox.enqueue(tx, event('order.placed', { aggregateId: order.id, payload: order }))
 * })
 * ```
 * @throws {OutboxError} `invalid-option`, naming the option and what to write instead
 */
export function mysqlOutbox(options: MysqlOutboxOptions): MysqlOutbox {
  const known = { ...placeOptions, db: true, maxPayloadBytes: true, ids: true }
  const given = knownOptions('mysqlOutbox', options, known)
  const { db, ids = uuidv7Generator() } = given
  checkDatabase(db)
  if (typeof ids !== 'function') {
    throw new OutboxError('invalid-option', 'The option ids must be a function that returns a UUID.', { option: 'ids' })
  }
  const names = namesIn(given)
  const maxPayloadBytes = checkMaxPayloadBytes(given.maxPayloadBytes)
  const commits = commitsOf(sessionOn(db, { names, use: 'relay' }), names)

  return Object.freeze({
    async enqueue(tx: MysqlTransaction, events: OneOrMany<Enqueueable>) {
      const entries = entriesFrom(events, { newId: ids, now: Date.now, maxPayloadBytes })
      const { receipts, writtenId } = await enqueue(names, tx, entries)
      if (writtenId !== undefined)
        commits.expect({ name: writtenId, partitions: entries.map((entry) => entry.partition) })
      return receipts
    },
    async subscribe(wake: Wake) {
      const end = commits.subscribe(wake)
      return { [Symbol.asyncDispose]: async () => end() }
    },
    ...relaySide(db, names, maxPayloadBytes),
  } satisfies MysqlOutbox)
}

function relaySide(db: MysqlDatabase, names: Names, maxPayloadBytes: number): LeasedSource {
  const session = (use: Use): Session => sessionOn(db, { names, use })
  const [relay, deadLetters, purging] = [session('relay'), session('deadLetters'), session('purge')]
  return {
    fetchUnpublished: (limit, options) => fetchUnpublished(relay, names, limit, options),
    markPublished: (ids, options) => markPublished(relay, names, ids, options),
    check: async (options) => {
      checkPool(db)
      await check(relay, outboxSubject(names), options)
      await checkRoom(relay, maxPayloadBytes, options)
    },
    join: async (request) => {
      checkPool(db)
      return join(relay, names, request)
    },
    poll: (request) => poll(relay, names, request),
    acquire: (request) => acquire(relay, names, request),
    release: (request) => release(relay, names, request),
    fetch: (request) => fetch(relay, names, request),
    settle: (request) => settle(relay, names, request),
    stats: (options) => stats(relay, names, options),
    purge: async (request) => purge(purging, names, checkedPurge(request)),
    deadLetters: bulkDeadLetters({
      list: (page) => listDead(deadLetters, names, page),
      requeue: (ids, options) => requeueDead(deadLetters, names, ids, options),
      discard: (ids, options) => discardDead(deadLetters, names, ids, options),
    }),
  }
}
