import { type Invalid, OutboxError } from '@outbox/core'
import { notATransaction, refusedDatabase, rollbackElsewhere } from '../shared/handles.ts'
import { renamesColumns } from './drivers.ts'

/**
 * A drizzle transaction on PostgreSQL, savepoints included: the `tx` of `db.transaction(async (tx) => …)`, of drizzle
 * 0.45 or 1.0, over node-postgres, postgres-js or PGlite.
 */
export interface PgTransaction {
  /** `never`: two versions of drizzle share no query type, and nobody but the outbox calls this */
  execute(query: never): PromiseLike<unknown>
  /** only a transaction has it: pass the `tx` of db.transaction(async (tx) => …), not `db` */
  rollback(): never
  /** only PostgreSQL's has it */
  readonly selectDistinctOn: unknown
}

/** A drizzle database on PostgreSQL. Its driver's client, `$client`, is where the outbox listens. */
export interface PgDatabase {
  execute(query: never): PromiseLike<unknown>
  /** a transaction has it: the outbox needs the database, which outlives every transaction */
  readonly rollback?: Invalid<'a transaction: pass the database, which outlives it'>
  readonly selectDistinctOn: unknown
  readonly $client?: unknown
}

/**
 * Names a handle as a transaction whose type says `db` although a transaction is open on it: a framework's
 * transaction host, or a `drizzle(client)` after your own BEGIN.
 *
 * It is checked when it is used: without an open transaction `enqueue` and `once` write nothing and throw.
 */
export function asTransaction(handle: PgDatabase | PgTransaction): PgTransaction {
  if (!isPgHandle(handle)) throw wrongHandle()
  return Object.freeze({
    execute: (query: never) => handle.execute(query),
    rollback: rollbackElsewhere,
    selectDistinctOn: handle.selectDistinctOn,
  })
}

/** What the compiler refuses, refused at run time too, for callers whom it does not check. */
export function checkTransaction(handle: unknown, method: 'enqueue' | 'once'): asserts handle is PgTransaction {
  if (!isPgHandle(handle)) throw wrongHandle()
  if (!('rollback' in handle) || typeof handle.rollback !== 'function') throw notATransaction(method)
}

/** What the compiler refuses for a database. @throws {OutboxError} `invalid-option` */
export function checkDatabase(db: unknown): asserts db is PgDatabase {
  if (!isPgHandle(db)) {
    throw refusedDatabase(
      "is no drizzle database on PostgreSQL: pass drizzle(…) of 'drizzle-orm/node-postgres', 'drizzle-orm/postgres-js' or 'drizzle-orm/pglite'.",
    )
  }
  if ('rollback' in db) throw refusedDatabase('is a transaction: pass the database, which outlives it.')
  if (renamesColumns(db.$client)) {
    throw refusedDatabase(
      "renames the columns of every answer (the option transform of postgres-js): give the outbox a drizzle database on a client without it. Drizzle's own names, as in casing: 'snake_case', change nothing here.",
    )
  }
}

function isPgHandle(handle: unknown): handle is PgDatabase {
  return (
    typeof handle === 'object' &&
    handle !== null &&
    'execute' in handle &&
    typeof handle.execute === 'function' &&
    'selectDistinctOn' in handle
  )
}

function wrongHandle(): OutboxError<'not-a-transaction'> {
  return new OutboxError(
    'not-a-transaction',
    "The handle is no drizzle transaction on PostgreSQL: pass the tx of db.transaction(async (tx) => …) of a database from 'drizzle-orm/node-postgres', 'drizzle-orm/postgres-js' or 'drizzle-orm/pglite'. Nothing was written.",
    { reason: 'wrong-handle' },
  )
}
