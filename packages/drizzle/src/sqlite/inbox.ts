import { type Awaitable, type InboxStore, type Invalid, OutboxError } from '@outbox/core'
import {
  checkDelivery,
  checkedPurge,
  checkHandled,
  endedUnderHandler,
  isThenable,
  knownOptions,
} from '@outbox/core/adapter'
import { Connections, transactOn } from './better-sqlite3.ts'
import { check } from './check.ts'
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
import { isMarked, mark, purgeMarks } from './marks.ts'
import { type TableNames, tableNames } from './names.ts'
import { purgeInSteps } from './purge.ts'
import { inboxSubject } from './subjects.ts'
import { type Transact, writeLock } from './transact.ts'

export interface SqliteInboxOptions<Database extends SqliteDatabase | LibsqlDatabase = SqliteDatabase> {
  /** the drizzle database whose transactions `once` gets; `check` and `purge` run on it, and nothing closes it */
  readonly db: Database
  /** what the name of the table begins with, default `outbox_` */
  readonly prefix?: string | undefined
}

/** An inbox in a SQLite database, through drizzle on better-sqlite3. */
export interface SqliteInbox extends InboxStore<SqliteSyncTransaction> {
  /**
   * As `Inbox.once`, and synchronous: when it returns, the handler has run, or will not.
   *
   * The handler must be synchronous too. One that returns a promise does not compile; at run time it is told as
   * `invalid-option` after it was called, and the transaction is to be rolled back.
   */
  readonly once: <Result>(
    tx: SqliteSyncTransaction,
    consumer: string,
    messageId: string,
    handler: (() => Result) & SynchronousOnly<Result>,
  ) => boolean
}

/** Nothing more to ask of a handler, or the reason why it will not do. */
type SynchronousOnly<Result> =
  IsAny<Result> extends true
    ? unknown
    : [Extract<Result, PromiseLike<unknown>>] extends [never]
      ? unknown
      : Invalid<'better-sqlite3 is synchronous: the handler may not return a promise, nor a query without .run()'>

type IsAny<Type> = 0 extends 1 & Type ? true : false

/** An inbox in a SQLite database, through drizzle on libsql. */
export interface LibsqlInbox extends InboxStore<SqliteAsyncTransaction> {
  /** As `Inbox.once`. Await it inside the callback: a transaction or savepoint that ends under a handler is told. */
  readonly once: (
    tx: SqliteAsyncTransaction,
    consumer: string,
    messageId: string,
    handler: () => Awaitable<unknown>,
  ) => Promise<boolean>
}

/** How long `check` and `purge` wait for a transaction of yours that is in their way, milliseconds. */
const maxWaitMs = 5_000

/**
 * An inbox in SQLite: one row per consumer and message, written in the transaction in which the handler runs.
 *
 * SQLite has one writer: of two deliveries of a message, the second waits for the first one's transaction as the
 * connection waits for locks (better-sqlite3's `timeout`, libsql's), and then is told `busy`, or that it is a repeat.
 *
 * @example
 * ```ts
 * const inbox = sqliteInbox({ db })
 * const isFirst = db.transaction((tx) =>
 *   inbox.once(tx, 'billing', message.id, () => {
 *     tx.insert(invoices).values({ orderId: message.aggregateId }).run()
 *   }),
 * )
 * ```
 * @throws {OutboxError} `invalid-option`
 */
export function sqliteInbox<Database extends SqliteDatabase | LibsqlDatabase>(
  options: SqliteInboxOptions<Database>,
): Database extends LibsqlDatabase ? LibsqlInbox : SqliteInbox
export function sqliteInbox(options: SqliteInboxOptions<SqliteDatabase | LibsqlDatabase>): SqliteInbox | LibsqlInbox {
  const given = knownOptions('sqliteInbox', options, { db: true, prefix: true })
  const names = tableNames(given.prefix)
  const driver = driverOf(given.db)
  return driver.kind === 'libsql' ? libsqlInbox(driver.client, names) : betterSqlite3Inbox(driver.client, names)
}

function betterSqlite3Inbox(client: SqliteClient, names: TableNames): SqliteInbox {
  const connections = new Connections()
  return {
    once(tx, consumer, messageId, handler) {
      checkDelivery(consumer, messageId, handler)
      const inTransaction = clientInTransaction(tx)
      if (!connections.runInside(inTransaction, mark(names, consumer, messageId))) return false
      const run = (): void => {
        const result: unknown = handler()
        if (isThenable(result)) throw asynchronousHandler()
        checkHandled(result)
      }
      connections.runWatched(inTransaction, run, endedUnderHandler)
      return true
    },
    ...upkeep(names, transactOn(client, connections, maxWaitMs)),
  }
}

function libsqlInbox(client: LibsqlClient, names: TableNames): LibsqlInbox {
  return {
    async once(tx, consumer, messageId, handler) {
      checkDelivery(consumer, messageId, handler)
      const transaction = openTransaction(tx)
      if (!(await runInside(transaction, mark(names, consumer, messageId)))) return false
      checkHandled(await handler())
      const [asked] = await Promise.allSettled([runInside(transaction, isMarked(names, consumer, messageId))])
      if (transaction.closed) throw endedUnderHandler()
      if (asked.status === 'rejected') throw asked.reason
      // not so where a savepoint from before the mark was rolled back
      if (!asked.value) throw endedUnderHandler()
      return true
    },
    ...upkeep(names, transactOnLibsql(client, lockOf(names), maxWaitMs)),
  }
}

function upkeep(names: TableNames, transact: Transact): Pick<InboxStore<never>, 'check' | 'purge'> {
  return {
    check: (call) => check(transact, inboxSubject(names.prefix), lockOf(names), call),
    async purge(request) {
      const { olderThanMs, limit } = checkedPurge(request)
      return purgeInSteps(limit, (most) => transact('write', () => purgeMarks(names, olderThanMs, most), request))
    },
  }
}

function lockOf({ inbox }: TableNames): ReturnType<typeof writeLock> {
  return writeLock(inbox, 'consumer')
}

function asynchronousHandler(): OutboxError<'invalid-option'> {
  return new OutboxError(
    'invalid-option',
    'once(): handler returned a promise, and better-sqlite3 is synchronous: what the handler does after its first await would be outside the transaction. Roll this transaction back, and run a synchronous handler; end queries with .run().',
    { option: 'handler' },
  )
}
