import { type Invalid, OutboxError } from '@outbox/core'
import { notATransaction, refusedDatabase, rollbackElsewhere } from '../shared/handles.ts'

/**
 * A drizzle transaction on MySQL or MariaDB, savepoints included: the `tx` of `db.transaction(async (tx) => …)`, of
 * drizzle 0.45 or 1.0, over mysql2.
 */
export interface MysqlTransaction {
  /** `never`: two versions of drizzle share no query type, and nobody but the outbox calls this */
  execute(query: never): PromiseLike<unknown>
  /** only a transaction has it: pass the `tx` of db.transaction(async (tx) => …), not `db` */
  rollback(): never
  /** PostgreSQL's has it: MySQL's does not */
  readonly selectDistinctOn?: Invalid<'of PostgreSQL: use @outbox/drizzle/pg'>
  /** a connection of mysql2 itself has it */
  readonly escape?: Invalid<'of mysql2 itself: pass what drizzle() makes of it'>
}

/** A drizzle database on MySQL or MariaDB. */
export interface MysqlDatabase {
  execute(query: never): PromiseLike<unknown>
  /** a transaction has it: the outbox needs the database, which outlives every transaction */
  readonly rollback?: Invalid<'a transaction: pass the database, which outlives it'>
  readonly selectDistinctOn?: Invalid<'of PostgreSQL: use @outbox/drizzle/pg'>
  /** a pool or a connection of mysql2 itself has it: the outbox needs what drizzle makes of that */
  readonly escape?: Invalid<'of mysql2 itself: pass what drizzle() makes of it'>
  readonly $client?: unknown
}

/**
 * Names a handle as a transaction whose type says `db` although a transaction is open on it: a framework's
 * transaction host, or a `drizzle(connection)` after your own BEGIN.
 *
 * It is checked when it is used: without an open transaction `enqueue` and `once` write nothing and throw.
 *
 * @throws {OutboxError} `not-a-transaction` for a database over a pool: each statement may take another connection
 */
export function asTransaction(handle: MysqlDatabase | MysqlTransaction): MysqlTransaction {
  if (!isMysqlHandle(handle)) throw wrongHandle()
  if (isPool(handle.$client)) {
    throw new OutboxError(
      'not-a-transaction',
      'asTransaction was given a database over a pool, where no transaction can be open: its statements take any connection. Name a database over the one connection that you opened the transaction on.',
      { reason: 'no-transaction' },
    )
  }
  return Object.freeze({
    beneath: handle,
    execute: (query: never) => handle.execute(query),
    rollback: rollbackElsewhere,
  })
}

/**
 * What all handles of one transaction have in common, those of its savepoints among them: the connection of mysql2.
 * Where it cannot be told, because somebody wrapped it, the handle itself.
 */
export function connectionOf(handle: MysqlTransaction): object {
  const named = memberOf(handle, 'beneath') ?? handle
  // a transaction has it in its session, in drizzle 0.45 and in 1.0; promises are a wrapping, of which there may be many
  const client = memberOf(memberOf(named, 'session'), 'client') ?? memberOf(named, '$client')
  return memberOf(client, 'connection') ?? client ?? named
}

function memberOf(value: object | undefined, name: string): object | undefined {
  const member: unknown = value === undefined ? undefined : Reflect.get(value, name)
  return typeof member === 'object' && member !== null ? member : undefined
}

/** What the compiler refuses, refused at run time too, for callers whom it does not check. */
export function checkTransaction(handle: unknown, method: 'enqueue' | 'once'): asserts handle is MysqlTransaction {
  if (!isMysqlHandle(handle)) throw wrongHandle()
  if (!('rollback' in handle) || typeof handle.rollback !== 'function') throw notATransaction(method)
}

/** What the compiler refuses for a database. @throws {OutboxError} `invalid-option` */
export function checkDatabase(db: unknown): asserts db is MysqlDatabase {
  if (!isMysqlHandle(db)) {
    throw refusedDatabase("is no drizzle database on MySQL or MariaDB: pass drizzle(…) of 'drizzle-orm/mysql2'.")
  }
  if ('rollback' in db) throw refusedDatabase('is a transaction: pass the database, which outlives it.')
}

/** PostgreSQL's databases have `selectDistinctOn`, SQLite's have no `execute`; mysql2's own pools have `escape`. */
function isMysqlHandle(handle: unknown): handle is MysqlDatabase {
  return (
    typeof handle === 'object' &&
    handle !== null &&
    'execute' in handle &&
    typeof handle.execute === 'function' &&
    !('selectDistinctOn' in handle) &&
    !('escape' in handle)
  )
}

/** A pool or a connection of mysql2, with promises. */
export interface MysqlClient {
  query(options: {
    readonly sql: string
    readonly values: null
    readonly namedPlaceholders: boolean
    readonly typeCast: boolean
  }): Promise<unknown>
}

/** What of mysql2 is beneath a drizzle database; undefined: somebody wrapped it, or it is none that we know. */
export function clientOf({ $client }: MysqlDatabase): MysqlClient | undefined {
  const client: unknown = hasMethod($client, 'promise') ? $client.promise() : $client
  // a pool or a connection
  const isKnown = hasMethod(client, 'getConnection') || hasMethod(client, 'beginTransaction')
  return isKnown && hasMethod(client, 'query') ? client : undefined
}

/**
 * What a relay says would be part of whatever transaction the application has open on the connection, and would see what
 * that may yet roll back.
 *
 * @throws {OutboxError} `invalid-option` for a database over a single connection
 */
export function checkPool({ $client }: MysqlDatabase): void {
  if (!hasMethod($client, 'beginTransaction') || isPool($client)) return
  throw refusedDatabase(
    'is over a single connection, where a relay would run inside of the transactions of others, and publish what they roll back: pass drizzle({ client: createPool(…) }). Nothing was read.',
  )
}

function hasMethod<Name extends string>(
  value: unknown,
  name: Name,
): value is Readonly<Record<Name, (...given: readonly unknown[]) => never>> {
  return typeof value === 'object' && value !== null && name in value && typeof Reflect.get(value, name) === 'function'
}

function isPool(client: unknown): boolean {
  return typeof client === 'object' && client !== null && 'getConnection' in client
}

function wrongHandle(): OutboxError<'not-a-transaction'> {
  return new OutboxError(
    'not-a-transaction',
    "The handle is no drizzle transaction on MySQL or MariaDB: pass the tx of db.transaction(async (tx) => …) of a database from 'drizzle-orm/mysql2'. Nothing was written.",
    { reason: 'wrong-handle' },
  )
}
