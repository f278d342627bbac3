import { OutboxError } from '@outbox/core'

/**
 * A drizzle transaction on a synchronous SQLite driver, savepoints included: the `tx` of `db.transaction((tx) => …)`.
 *
 * Drizzle 0.45 and 1.0 both fit. A plain `db` does not, for it has no `rollback`; nor does the handle of an
 * asynchronous driver, or of another dialect.
 */
export interface SqliteSyncTransaction {
  /** `never`: the query types of drizzle 0.45 and 1.0 have nothing in common, and the outbox calls neither */
  run(query: never): { readonly changes: number; readonly lastInsertRowid: number | bigint }
  /** only a transaction has it: pass the `tx` of db.transaction((tx) => …), not `db` */
  rollback(): never
}

/** A drizzle database on a synchronous SQLite driver (better-sqlite3), of drizzle 0.45 or 1.0. */
export interface SqliteDatabase {
  /** `never`: the query types of drizzle 0.45 and 1.0 have nothing in common, and the outbox calls neither */
  run(query: never): { readonly changes: number; readonly lastInsertRowid: number | bigint }
  /** the driver's connection, as drizzle hands it out */
  readonly $client: SqliteClient
}

/** What this store uses of a better-sqlite3 connection. */
export interface SqliteClient {
  readonly inTransaction: boolean
  readonly readonly: boolean
  prepare(text: string): SqliteStatement
}

export interface SqliteStatement {
  /** true: it gives rows, and `all` runs it; false: `run` does */
  readonly reader: boolean
  all(...values: unknown[]): readonly unknown[]
  run(...values: unknown[]): unknown
  safeIntegers(on: boolean): unknown
}

/**
 * The driver's connection beneath a database.
 *
 * @throws {OutboxError} `invalid-option` for what is no drizzle database on better-sqlite3
 */
export function clientOf(db: SqliteDatabase): SqliteClient {
  const client = clientBeneath(db)
  if (client) return client
  throw new OutboxError(
    'invalid-option',
    "The option db is not a drizzle database on better-sqlite3: pass what drizzle() of 'drizzle-orm/better-sqlite3' returns.",
    { option: 'db' },
  )
}

/**
 * The connection beneath a transaction's handle, which is in that transaction right now.
 *
 * Drizzle's handle goes on working when its transaction is over: its statements would commit on their own. So the
 * connection itself is asked, and it must be the handle's own, not that of the outbox: they may be two.
 *
 * @throws {OutboxError} `not-a-transaction`
 */
export function clientInTransaction(handle: unknown): SqliteClient {
  const client = clientBeneath(handle)
  if (client?.inTransaction) return client
  throw client === undefined ? wrongHandle() : hasRollback(handle) ? finished() : noTransaction()
}

/**
 * For a handle whose type says `db` though a transaction is open on its connection: after a `BEGIN` of your own, or
 * where a framework hands the transaction around.
 *
 * @throws {OutboxError} `not-a-transaction` when none is open
 */
export function asTransaction(handle: SqliteDatabase): SqliteSyncTransaction {
  const transaction = { $client: clientInTransaction(handle), run: (query: never) => handle.run(query), rollback }
  return transaction
}

function rollback(): never {
  throw new Error('Roll back with the statement that fits the BEGIN of this transaction.')
}

/** A drizzle database says `$client`; a drizzle transaction has its connection in its session, in 0.45 and in 1.0. */
function clientBeneath(handle: unknown): SqliteClient | undefined {
  if (!isObject(handle)) return undefined
  if (isClient(handle['$client'])) return handle['$client']
  const session = handle['session']
  return isObject(session) && isClient(session['client']) ? session['client'] : undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isClient(value: unknown): value is SqliteClient {
  return isObject(value) && typeof value['inTransaction'] === 'boolean' && typeof value['prepare'] === 'function'
}

function hasRollback(handle: unknown): boolean {
  return isObject(handle) && typeof handle['rollback'] === 'function'
}

function wrongHandle(): OutboxError<'not-a-transaction'> {
  return new OutboxError(
    'not-a-transaction',
    'enqueue was not given a drizzle transaction on better-sqlite3: pass the tx of db.transaction((tx) => …). Asynchronous SQLite drivers such as libsql are not supported by this store. Nothing was written.',
    { reason: 'wrong-handle' },
  )
}

function finished(): OutboxError<'not-a-transaction'> {
  return new OutboxError(
    'not-a-transaction',
    'The transaction of this handle is over. better-sqlite3 is synchronous: enqueue inside the callback of db.transaction((tx) => …), before any await. Nothing was written.',
    { reason: 'finished' },
  )
}

function noTransaction(): OutboxError<'not-a-transaction'> {
  return new OutboxError(
    'not-a-transaction',
    'No transaction is open on this connection: enqueue with the tx of db.transaction((tx) => …), not with db. Nothing was written.',
    { reason: 'no-transaction' },
  )
}
