import {
  type Enqueueable,
  limits,
  type NewEntry,
  type OneOrMany,
  OutboxError,
  type OutboxStore,
  type Receipt,
  uuidv7Generator,
} from '@outbox/core'
import { entriesFrom, invalidOption, knownOptions } from '@outbox/core/adapter'
import { checkMaxPayloadBytes } from '../shared/options.ts'
import { defaultPrefix } from '../shared/set-up.ts'
import { Connections, transactOn } from './better-sqlite3.ts'
import { enqueue } from './enqueue.ts'
import {
  clientInTransaction,
  driverOf,
  type LibsqlClient,
  type LibsqlDatabase,
  openTransaction,
  type SqliteAsyncTransaction,
  type SqliteClient,
  type SqliteDatabase,
  type SqliteSyncTransaction,
} from './handles.ts'
import { runInside, transactOnLibsql } from './libsql.ts'
import { type TableNames, tableNames } from './names.ts'
import { relayHalf } from './relay-half.ts'
import { writeLock } from './transact.ts'
import { createWaker } from './wake.ts'

export interface SqliteOutboxOptions<Database extends SqliteDatabase | LibsqlDatabase = SqliteDatabase> {
  /**
   * the database of `drizzle-orm/better-sqlite3` or of `drizzle-orm/libsql`, 0.45 or 1.0; the outbox closes nothing
   */
  readonly db: Database
  /** what the names of the tables begin with, default `outbox_` */
  readonly prefix?: string | undefined
  /** the largest payload, bytes of JSON, default 1 MiB */
  readonly maxPayloadBytes?: number | undefined
  /** mints the ids of events that bring none, default UUIDv7 */
  readonly ids?: (() => string) | undefined
  /** how long the relay's calls wait for a transaction of yours that is in their way, milliseconds, default 5,000 */
  readonly maxWaitMs?: number | undefined
}

/** An outbox in a SQLite database, through drizzle on better-sqlite3. */
export interface SqliteOutbox extends OutboxStore<SqliteSyncTransaction> {
  /**
   * As `Outbox.enqueue`, and synchronous: it is done, or has thrown, when it returns.
   *
   * Takes the write lock of the database. In a transaction that has read before and not written, that fails with
   * `busy` if somebody else has written since: begin with `{ behavior: 'immediate' }`.
   */
  readonly enqueue: (tx: SqliteSyncTransaction, events: OneOrMany<Enqueueable>) => readonly Receipt[]
}

/** An outbox in a SQLite database, through drizzle on libsql. */
export interface LibsqlOutbox extends OutboxStore<SqliteAsyncTransaction> {
  /**
   * As `Outbox.enqueue`. Await it inside the callback: when the transaction ends before, the batch is written whole or
   * not at all, and it rejects with `not-a-transaction` if it is not.
   *
   * Takes the write lock of the database, which drizzle's transactions on libsql hold from their beginning unless they
   * say `{ behavior: 'deferred' }`. Several of one transaction are done one after the other.
   */
  readonly enqueue: (tx: SqliteAsyncTransaction, events: OneOrMany<Enqueueable>) => Promise<readonly Receipt[]>
}

/** What `sqliteOutbox` takes where an option is left out. */
export const sqliteDefaults: { readonly prefix: string; readonly maxPayloadBytes: number; readonly maxWaitMs: number } =
  Object.freeze({ prefix: defaultPrefix, maxPayloadBytes: limits.payloadBytes, maxWaitMs: 5_000 })

/**
 * Makes an outbox over a drizzle database on better-sqlite3 or libsql.
 *
 * Nothing is read or written until it is used; `check()` tells whether its tables are there. Any number of outboxes
 * and processes may share a file, whichever their driver. Each call of the relay's half runs in transactions of its
 * own, one for nearly all of them; `check`, `purge` and a `fetch` that has to look further take several. None has a part
 * in a transaction of yours.
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
export function sqliteOutbox<Database extends SqliteDatabase | LibsqlDatabase>(
  options: SqliteOutboxOptions<Database>,
): Database extends LibsqlDatabase ? LibsqlOutbox : SqliteOutbox
export function sqliteOutbox(
  options: SqliteOutboxOptions<SqliteDatabase | LibsqlDatabase>,
): SqliteOutbox | LibsqlOutbox {
  const given = knownOptions('sqliteOutbox', options, { ...sqliteDefaults, db: true, ids: true })
  const { prefix, maxWaitMs, ids: newId = uuidv7Generator() } = { ...sqliteDefaults, ...given }
  const maxPayloadBytes = checkMaxPayloadBytes(given.maxPayloadBytes)
  checkMaxWait(maxWaitMs)
  if (typeof newId !== 'function') throw invalidOption('sqliteOutbox', 'ids', 'must be a function that returns a UUID')
  const names = tableNames(prefix)
  const entriesOf = (events: OneOrMany<Enqueueable>): readonly NewEntry[] =>
    entriesFrom(events, { newId, now: Date.now, maxPayloadBytes })
  const driver = driverOf(given.db)
  return driver.kind === 'libsql'
    ? libsqlOutbox(driver.client, names, maxWaitMs, entriesOf)
    : betterSqlite3Outbox(driver.client, names, maxWaitMs, entriesOf)
}

type EntriesOf = (events: OneOrMany<Enqueueable>) => readonly NewEntry[]

function betterSqlite3Outbox(
  client: SqliteClient,
  names: TableNames,
  maxWaitMs: number,
  entriesOf: EntriesOf,
): SqliteOutbox {
  const connections = new Connections()
  const waker = createWaker()
  return {
    enqueue(tx, events) {
      const inTransaction = clientInTransaction(tx)
      const entries = entriesOf(events)
      if (entries.length === 0) return []
      const receipts = connections.runInside(inTransaction, enqueue(names, entries))
      waker.wakeAfter(inTransaction, () => inTransaction.inTransaction)
      return receipts
    },
    ...relayHalf(names, transactOn(client, connections, maxWaitMs), waker),
  }
}

function libsqlOutbox(client: LibsqlClient, names: TableNames, maxWaitMs: number, entriesOf: EntriesOf): LibsqlOutbox {
  const waker = createWaker()
  return {
    async enqueue(tx, events) {
      const transaction = openTransaction(tx)
      const entries = entriesOf(events)
      if (entries.length === 0) return []
      const receipts = await runInside(transaction, enqueue(names, entries))
      waker.wakeAfter(transaction, () => !transaction.closed)
      return receipts
    },
    ...relayHalf(names, transactOnLibsql(client, writeLock(names.meta, 'key'), maxWaitMs), waker),
  }
}

function checkMaxWait(maxWaitMs: number): void {
  if (Number.isFinite(maxWaitMs) && maxWaitMs >= 0) return
  throw new OutboxError(
    'invalid-option',
    `The option maxWaitMs must be a number of milliseconds from 0 on, such as ${sqliteDefaults.maxWaitMs}.`,
    { option: 'maxWaitMs' },
  )
}
