import {
  type CallOptions,
  type Enqueueable,
  entriesFrom,
  limits,
  type NewEntry,
  type OneOrMany,
  OutboxError,
  type OutboxStore,
  type Receipt,
  uuidv7Generator,
} from '@outbox/core'
import { checkMaxPayloadBytes } from '../shared/options.ts'
import { check } from './check.ts'
import { Connections, type Transact, transactOn } from './connection.ts'
import { discard, listDead, requeue } from './dead-letters.ts'
import { conflictIn, enqueue } from './enqueue.ts'
import { isUniqueViolation } from './errors.ts'
import { fetch } from './fetch.ts'
import {
  clientInTransaction,
  clientOf,
  type SqliteClient,
  type SqliteDatabase,
  type SqliteSyncTransaction,
} from './handles.ts'
import { acquire, join, poll, release } from './leases.ts'
import { defaultPrefix, type TableNames, tableNames } from './names.ts'
import { settle } from './settle.ts'
import { rowLimit } from './sql.ts'
import { fetchUnpublished, markPublished, purgeSome, stats } from './trait.ts'
import { createWaker } from './wake.ts'

export interface SqliteOutboxOptions {
  /** the database of `drizzle-orm/better-sqlite3`, 0.45 or 1.0; the outbox closes nothing */
  readonly db: SqliteDatabase
  /** what the names of the tables begin with, default `outbox_` */
  readonly prefix?: string
  /** the largest payload, bytes of JSON, default 1 MiB */
  readonly maxPayloadBytes?: number
  /** mints the ids of events that bring none, default UUIDv7 */
  readonly ids?: () => string
  /** how long the relay's calls wait for a transaction of yours that is open on the connection, default 5,000 */
  readonly maxWaitMs?: number
}

/** An outbox in a SQLite database, through drizzle. */
export interface SqliteOutbox extends OutboxStore<SqliteSyncTransaction> {
  /**
   * As `Outbox.enqueue`, and synchronous: it is done, or has thrown, when it returns.
   *
   * Takes the write lock of the database. In a transaction that has read before and not written, that fails with
   * `busy` if somebody else has written since: begin with `{ behavior: 'immediate' }`.
   */
  readonly enqueue: (tx: SqliteSyncTransaction, events: OneOrMany<Enqueueable>) => readonly Receipt[]
}

/** What `sqliteOutbox` takes where an option is left out. */
export const sqliteDefaults: { readonly prefix: string; readonly maxPayloadBytes: number; readonly maxWaitMs: number } =
  Object.freeze({ prefix: defaultPrefix, maxPayloadBytes: limits.payloadBytes, maxWaitMs: 5_000 })

/**
 * Makes an outbox over a drizzle database on better-sqlite3.
 *
 * Nothing is read or written until it is used; `check()` tells whether its tables are there. Any number of outboxes
 * and processes may share a file. Each call of the relay's half is one transaction, done in one go, which never runs
 * while you have a transaction open on the same connection.
 *
 * @example
 * ```ts
 * const outbox = sqliteOutbox({ db })
 * db.transaction((tx) => {
 *   tx.insert(orders).values(order).run()
 *   outbox.enqueue(tx, event('order.placed', { aggregateId: order.id, payload: order }))
 * }, { behavior: 'immediate' })
 * ```
 * @throws {OutboxError} `invalid-option`
 */
export function sqliteOutbox(options: SqliteOutboxOptions): SqliteOutbox {
  const { prefix, maxWaitMs } = { ...sqliteDefaults, ...options }
  const maxPayloadBytes = checkMaxPayloadBytes(options.maxPayloadBytes)
  checkMaxWait(maxWaitMs)
  const newId = options.ids ?? uuidv7Generator()
  const client = clientOf(options.db)
  const names = tableNames(prefix)
  const connections = new Connections()
  const transact = transactOn(client, connections, maxWaitMs)
  const waker = createWaker()

  return {
    enqueue(tx, events) {
      const inTransaction = clientInTransaction(tx)
      const entries = entriesFrom(events, { newId, now: Date.now, maxPayloadBytes })
      if (entries.length === 0) return []
      const receipts = write(connections, inTransaction, names, entries)
      waker.wakeAfterCommit(inTransaction)
      return receipts
    },
    fetchUnpublished: (limit, call) => transact('read', () => fetchUnpublished(names, limit), call),
    markPublished: (ids, call) => transact('write', () => markPublished(names, ids), call),
    check: (call) => check(transact, names, call),
    join: (request) => transact('write', () => join(names, request.holder), request),
    poll: (request) => transact('write', () => poll(names, request.holder), request),
    acquire: (request) => transact('write', () => acquire(names, request), request),
    release: (request) => transact('write', () => release(names, request), request),
    async fetch(request) {
      for (;;) {
        const { entries, isComplete } = await transact('write', () => fetch(names, request), request)
        if (isComplete || entries.length > 0) return entries
        // What stood in the way is parked now. Others have a turn before the next stretch.
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
    settle: (request) => transact('write', () => settle(names, request), request),
    stats: (call) => transact('read', () => stats(names), call),
    deadLetters: {
      list: (page) => transact('read', () => listDead(names, page), page),
      async requeue(ids, call) {
        const count = await transact('write', () => requeue(names, ids), call)
        waker.wakeAfterCommit(client)
        return count
      },
      async discard(ids, call) {
        const count = await transact('write', () => discard(names, ids), call)
        waker.wakeAfterCommit(client)
        return count
      },
    },
    purge: (request) => purge(transact, names, request),
    subscribe: async (wake) => waker.subscribe(wake),
  }
}

function write(
  connections: Connections,
  client: SqliteClient,
  names: TableNames,
  entries: readonly NewEntry[],
): readonly Receipt[] {
  try {
    return connections.runInside(client, enqueue(names, entries))
  } catch (error) {
    if (!isUniqueViolation(error)) throw error
    throw connections.runInside(client, conflictIn(names, entries, error)) ?? error
  }
}

/** Entries that one transaction of `purge` deletes: the write lock is held for a few milliseconds at a time. */
const purgeStep = 500

async function purge(
  transact: Transact,
  names: TableNames,
  request: { readonly olderThanMs: number; readonly limit: number } & CallOptions,
): Promise<number> {
  const limit = rowLimit(request.limit)
  let deleted = 0
  while (deleted < limit) {
    const step = Math.min(purgeStep, limit - deleted)
    const count = await transact('write', () => purgeSome(names, request.olderThanMs, step), request)
    deleted += count
    if (count < step) break
    await new Promise((resolve) => setImmediate(resolve))
  }
  return deleted
}

function checkMaxWait(maxWaitMs: number): void {
  if (Number.isFinite(maxWaitMs) && maxWaitMs >= 0) return
  throw new OutboxError(
    'invalid-option',
    `The option maxWaitMs must be a number of milliseconds from 0 on, such as ${sqliteDefaults.maxWaitMs}.`,
    { option: 'maxWaitMs' },
  )
}
