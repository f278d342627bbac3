import { OutboxError } from '@outbox/core'

/**
 * A drizzle transaction on better-sqlite3, savepoints included: the `tx` of `db.transaction((tx) => …)`.
 *
 * Drizzle 0.45 and 1.0 both fit. A plain `db` does not, for it has no `rollback`; nor does the handle of an
 * asynchronous driver, or of another dialect.
 */
export interface SqliteSyncTransaction {
  /** `never`: the query types of drizzle 0.45 and 1.0 have nothing in common, and the outbox calls neither */
  run(query: never): SyncResult
  /** only a transaction has it: pass the `tx` of db.transaction((tx) => …), not `db` */
  rollback(): never
}

/**
 * A drizzle transaction on libsql, savepoints included: the `tx` of `db.transaction(async (tx) => …)`.
 *
 * Drizzle 0.45 and 1.0 both fit. A plain `db` does not, for it has no `rollback`; nor does the handle of a
 * synchronous driver, or of another dialect.
 */
export interface SqliteAsyncTransaction {
  /** `never`: the query types of drizzle 0.45 and 1.0 have nothing in common, and the outbox calls neither */
  run(query: never): PromiseLike<AsyncResult>
  /** only a transaction has it: pass the `tx` of db.transaction(async (tx) => …), not `db` */
  rollback(): never
}

/** A drizzle database on better-sqlite3, of drizzle 0.45 or 1.0. */
export interface SqliteDatabase {
  /** `never`: the query types of drizzle 0.45 and 1.0 have nothing in common, and the outbox calls neither */
  run(query: never): SyncResult
  /** the driver's connection, as drizzle hands it out */
  readonly $client: SqliteClient
}

/** A drizzle database on libsql, of drizzle 0.45 or 1.0. */
export interface LibsqlDatabase {
  /** `never`: the query types of drizzle 0.45 and 1.0 have nothing in common, and the outbox calls neither */
  run(query: never): PromiseLike<AsyncResult>
  /** the driver's client, as drizzle hands it out */
  readonly $client: LibsqlClient
}

interface SyncResult {
  readonly changes: number
  readonly lastInsertRowid: number | bigint
}

interface AsyncResult {
  readonly columnTypes: readonly string[]
  readonly rowsAffected: number
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

/** What this store uses of a libsql client. */
export interface LibsqlClient {
  /** `file` for a file of this machine */
  readonly protocol: string
  readonly closed: boolean
  transaction(mode: 'deferred'): Promise<LibsqlTransaction>
  executeMultiple(text: string): Promise<unknown>
}

/** What this store uses of a libsql client's transaction. */
export interface LibsqlTransaction {
  /** true once it was committed or rolled back, by whomever */
  readonly closed: boolean
  execute(statement: LibsqlStatement): Promise<{ readonly rows: readonly unknown[] }>
  batch(statements: LibsqlStatement[]): Promise<unknown>
  executeMultiple(text: string): Promise<unknown>
  commit(): Promise<void>
  /** rolls back what is not committed */
  close(): void
}

export interface LibsqlStatement {
  readonly sql: string
  readonly args: (string | number | bigint | null)[]
}

/** The driver's connection or client beneath a database. */
export type Driver =
  | { readonly kind: 'better-sqlite3'; readonly client: SqliteClient }
  | { readonly kind: 'libsql'; readonly client: LibsqlClient }

/**
 * The driver beneath a database.
 *
 * @throws {OutboxError} `invalid-option` for what is no drizzle database on better-sqlite3 or libsql
 */
export function driverOf(db: SqliteDatabase | LibsqlDatabase): Driver {
  const client: unknown = db?.$client
  if (isSqliteClient(client)) return { kind: 'better-sqlite3', client }
  if (isLibsqlClient(client)) return { kind: 'libsql', client }
  throw new OutboxError(
    'invalid-option',
    "The option db is not a drizzle database on better-sqlite3 or libsql: pass what drizzle() of 'drizzle-orm/better-sqlite3' or 'drizzle-orm/libsql' returns.",
    { option: 'db' },
  )
}

/**
 * The connection beneath a transaction's handle on better-sqlite3, which is in that transaction right now.
 *
 * Drizzle's handle goes on working when its transaction is over: its statements would commit on their own. So the
 * connection itself is asked, and it must be the handle's own, not that of the outbox: they may be two.
 *
 * @throws {OutboxError} `not-a-transaction`
 */
export function clientInTransaction(handle: unknown): SqliteClient {
  const client = sqliteClientBeneath(handle)
  if (!client) throw libsqlBeneath(handle) ? otherDriver('libsql', 'better-sqlite3') : wrongHandle()
  if (client.inTransaction) return client
  throw hasRollback(handle) ? finishedSync() : noTransaction()
}

/**
 * The driver's transaction beneath a transaction's handle on libsql, which is open right now.
 *
 * It may end at any time, for the caller may have forgotten to await: libsql then refuses every further statement.
 *
 * @throws {OutboxError} `not-a-transaction`
 */
export function openTransaction(handle: unknown): LibsqlTransaction {
  const beneath = libsqlBeneath(handle)
  if (!beneath) throw sqliteClientBeneath(handle) ? otherDriver('better-sqlite3', 'libsql') : wrongHandle()
  const { transaction } = beneath
  if (!transaction) throw noTransaction()
  if (transaction.closed) throw finishedAsync()
  return transaction
}

/**
 * For a handle whose type says `db` though a transaction is open on it: where a framework hands the transaction
 * around, or, on better-sqlite3, after a `BEGIN` of your own.
 *
 * @throws {OutboxError} `not-a-transaction` when none is open
 */
export function asTransaction(handle: SqliteDatabase | SqliteSyncTransaction): SqliteSyncTransaction
export function asTransaction(handle: Pick<LibsqlDatabase, 'run'>): SqliteAsyncTransaction
export function asTransaction(
  handle: SqliteDatabase | SqliteSyncTransaction | Pick<LibsqlDatabase, 'run'>,
): SqliteSyncTransaction | SqliteAsyncTransaction {
  if (isLibsql(handle)) {
    const tx = openTransaction(handle)
    const transaction = { session: { tx }, run: (query: never) => handle.run(query), rollback }
    return transaction
  }
  const $client = clientInTransaction(handle)
  const transaction = { $client, run: (query: never) => handle.run(query), rollback }
  return transaction
}

function isLibsql(handle: object): handle is Pick<LibsqlDatabase, 'run'> {
  return libsqlBeneath(handle) !== undefined
}

function rollback(): never {
  throw new Error('Roll back with what began this transaction.')
}

/** A drizzle database says `$client`; a drizzle transaction has its connection in its session, in 0.45 and in 1.0. */
function sqliteClientBeneath(handle: unknown): SqliteClient | undefined {
  if (!isObject(handle)) return undefined
  if (isSqliteClient(handle['$client'])) return handle['$client']
  const session = handle['session']
  return isObject(session) && isSqliteClient(session['client']) ? session['client'] : undefined
}

/** A drizzle transaction on libsql has the driver's in its session, in 0.45 and in 1.0; a database has none there. */
function libsqlBeneath(handle: unknown): { readonly transaction: LibsqlTransaction | undefined } | undefined {
  if (!isObject(handle)) return undefined
  const session = handle['session']
  if (isObject(session) && isLibsqlTransaction(session['tx'])) return { transaction: session['tx'] }
  const client = handle['$client'] ?? (isObject(session) ? session['client'] : undefined)
  return isLibsqlClient(client) ? { transaction: undefined } : undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isSqliteClient(value: unknown): value is SqliteClient {
  return isObject(value) && typeof value['inTransaction'] === 'boolean' && typeof value['prepare'] === 'function'
}

function isLibsqlClient(value: unknown): value is LibsqlClient {
  return isObject(value) && typeof value['protocol'] === 'string' && typeof value['transaction'] === 'function'
}

function isLibsqlTransaction(value: unknown): value is LibsqlTransaction {
  return isObject(value) && typeof value['closed'] === 'boolean' && typeof value['batch'] === 'function'
}

function hasRollback(handle: unknown): boolean {
  return isObject(handle) && typeof handle['rollback'] === 'function'
}

type Refusal = OutboxError<'not-a-transaction'>

function wrongHandle(): Refusal {
  return new OutboxError(
    'not-a-transaction',
    'This is no drizzle transaction on better-sqlite3 or libsql: pass the tx of db.transaction((tx) => …). Nothing was written.',
    { reason: 'wrong-handle' },
  )
}

function otherDriver(given: string, expected: string): Refusal {
  return new OutboxError(
    'not-a-transaction',
    `This is a transaction of ${given}, and the db that was given to the factory is one of ${expected}: make another with the db of this transaction. Nothing was written.`,
    { reason: 'wrong-handle' },
  )
}

function finishedSync(): Refusal {
  return new OutboxError(
    'not-a-transaction',
    'The transaction of this handle is over. better-sqlite3 is synchronous: do all that needs it inside the callback of db.transaction((tx) => …), before any await. Nothing was written.',
    { reason: 'finished' },
  )
}

/** Also for the statement that came too late: libsql tells it by the code `TRANSACTION_CLOSED`. */
export function finishedAsync(options?: ErrorOptions): Refusal {
  return new OutboxError(
    'not-a-transaction',
    'The transaction of this handle is over. Await all that is done with it inside the callback of db.transaction(async (tx) => …). Nothing was written.',
    { reason: 'finished' },
    options,
  )
}

function noTransaction(): Refusal {
  return new OutboxError(
    'not-a-transaction',
    'No transaction is open on this connection: pass the tx of db.transaction((tx) => …), not db. Nothing was written.',
    { reason: 'no-transaction' },
  )
}
