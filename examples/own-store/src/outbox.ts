import type { SQLTagStore } from 'node:sqlite'
import {
  type CallOptions,
  type Enqueueable,
  type OneOrMany,
  type OutboxStore,
  type Receipt,
  uuidv7Generator,
} from '@outbox/core'
import { bulkDeadLetters, checkedPurge, entriesFrom } from '@outbox/core/adapter'
import { type Connection, sqlOf, type Transaction } from './connection.ts'
import { discard, listDead, requeue } from './dead-letters.ts'
import { enqueue } from './enqueue.ts'
import { fetch } from './fetch.ts'
import { acquire, join, poll, release } from './leases.ts'
import { markPublished, settle } from './settle.ts'
import { checkTables } from './tables.ts'
import { fetchUnpublished, purge, stats } from './upkeep.ts'

// #region outbox
/** An outbox in an SQLite file. `enqueue` is synchronous, as the driver is: it is done, or has thrown, when it returns. */
export interface OwnOutbox extends OutboxStore<Transaction> {
  readonly enqueue: (tx: Transaction, events: OneOrMany<Enqueueable>) => readonly Receipt[]
}

export function ownOutbox({ connection }: { readonly connection: Connection }): OwnOutbox {
  const newId = uuidv7Generator()

  /** Every call of the relay's half: one transaction, begun when no callback of the application is in the middle of one. */
  const step = async <T>(call: CallOptions | undefined, work: (sql: SQLTagStore) => T): Promise<T> => {
    call?.signal?.throwIfAborted()
    await Promise.resolve()
    return connection.transaction(({ sql }) => work(sql))
  }

  return {
    enqueue(tx, events) {
      sqlOf(tx) // refuses what is no open transaction
      return enqueue(tx, entriesFrom(events, { newId, now: Date.now }))
    },
    fetchUnpublished: (limit, call) => step(call, (sql) => fetchUnpublished(sql, limit)),
    markPublished: (ids, call) => step(call, (sql) => markPublished(sql, ids)),
    check: async (call) => {
      call?.signal?.throwIfAborted()
      checkTables(connection)
    },
    join: (request) => step(request, (sql) => join(sql, request.holder)),
    poll: (request) => step(request, (sql) => poll(sql, request.holder)),
    acquire: (request) => step(request, (sql) => acquire(sql, request)),
    release: (request) => step(request, (sql) => release(sql, request)),
    fetch: (request) => step(request, (sql) => fetch(sql, request)),
    settle: (request) => step(request, (sql) => settle(sql, request)),
    stats: (call) => step(call, stats),
    purge: (request) => step(request, (sql) => purge(sql, checkedPurge(request))),
    deadLetters: bulkDeadLetters({
      list: (page) => step(page, (sql) => listDead(sql, page)),
      requeue: (ids, call) => step(call, (sql) => requeue(sql, ids)),
      discard: (ids, call) => step(call, (sql) => discard(sql, ids)),
    }),
  }
}
// #endregion
