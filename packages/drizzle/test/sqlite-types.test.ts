import { type Enqueue, event, type Inbox, type Receipt } from '@outbox/core'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { drizzle as drizzleRc } from 'drizzle-orm-rc/better-sqlite3'
import { drizzle as drizzleLibsqlRc } from 'drizzle-orm-rc/libsql'
import type { NodeSQLiteDatabase } from 'drizzle-orm-rc/node-sqlite'
import { expectTypeOf, test } from 'vitest'
import {
  asTransaction,
  type LibsqlInbox,
  type LibsqlOutbox,
  type SqliteAsyncTransaction,
  type SqliteInbox,
  type SqliteOutbox,
  type SqliteSyncTransaction,
  setup,
  setupInbox,
  sqliteInbox,
  sqliteOutbox,
} from '../src/sqlite/index.ts'
import { type LibsqlTestDatabase, newOutboxFile, type TestDatabase } from './sqlite-files.ts'

type TransactionOf<Database extends { transaction: (work: never) => unknown }> = Parameters<
  Database['transaction']
>[0] extends (tx: infer Tx) => unknown
  ? Tx
  : never

type DatabaseRc = ReturnType<typeof drizzleRc>
type LibsqlDatabaseRc = ReturnType<typeof drizzleLibsqlRc>

const placed = event('order.placed', { aggregateId: '1', payload: { total: 3 } })

test('on better-sqlite3 the transaction of drizzle 0.45 and of 1.0 fits, and receipts come back, not a promise', () => {
  const file = newOutboxFile()
  const rc = drizzleRc({ client: file.db.$client })
  const outbox = sqliteOutbox({ db: file.db })
  const outboxRc = sqliteOutbox({ db: rc })
  expectTypeOf(outbox).toEqualTypeOf<SqliteOutbox>()
  expectTypeOf(file.db.transaction((tx) => outbox.enqueue(tx, placed))).toEqualTypeOf<readonly Receipt[]>()
  expectTypeOf(file.db.transaction((tx) => tx.transaction((inner) => outbox.enqueue(inner, placed)))).toEqualTypeOf<
    readonly Receipt[]
  >()
  expectTypeOf(rc.transaction((tx) => outboxRc.enqueue(tx, placed))).toEqualTypeOf<readonly Receipt[]>()
  expectTypeOf(rc.transaction((tx) => tx.transaction((inner) => outboxRc.enqueue(inner, placed)))).toEqualTypeOf<
    readonly Receipt[]
  >()
  file.remove()
})

test('on libsql the transaction of drizzle 0.45 and of 1.0 fits, and a promise of receipts comes back', () => {
  const file = newOutboxFile()
  const db = file.connectLibsql()
  const rc = drizzleLibsqlRc({ client: db.$client })
  const outbox = sqliteOutbox({ db })
  expectTypeOf(outbox).toEqualTypeOf<LibsqlOutbox>()
  expectTypeOf(sqliteOutbox({ db: rc })).toEqualTypeOf<LibsqlOutbox>()
  const settingUp = () => setup(db)
  expectTypeOf(settingUp).returns.toEqualTypeOf<Promise<void>>()
  expectTypeOf<TransactionOf<LibsqlTestDatabase>>().toExtend<SqliteAsyncTransaction>()
  expectTypeOf<TransactionOf<LibsqlDatabaseRc>>().toExtend<SqliteAsyncTransaction>()
  expectTypeOf(outbox.enqueue).returns.toEqualTypeOf<Promise<readonly Receipt[]>>()
  file.remove()
})

test('each fits where the contract is asked for, and no other', () => {
  expectTypeOf<SqliteOutbox>().toExtend<Enqueue<SqliteSyncTransaction>>()
  expectTypeOf<LibsqlOutbox>().toExtend<Enqueue<SqliteAsyncTransaction>>()
  expectTypeOf<SqliteInbox>().toExtend<Inbox<SqliteSyncTransaction>>()
  expectTypeOf<LibsqlInbox>().toExtend<Inbox<SqliteAsyncTransaction>>()
  expectTypeOf<LibsqlOutbox>().not.toExtend<Enqueue<SqliteSyncTransaction>>()
  expectTypeOf<SqliteOutbox>().not.toExtend<Enqueue<SqliteAsyncTransaction>>()
})

test('a database, a handle of another driver or dialect, and a promise do not compile', () => {
  expectTypeOf(wrongHandles).toBeFunction()
  expectTypeOf(wrongLibsqlHandles).toBeFunction()
  expectTypeOf(wrongHandlers).toBeFunction()
  expectTypeOf(wrongDatabases).toBeFunction()
})

/** Only compiled: what it calls would throw. */
function wrongHandles(
  outbox: SqliteOutbox,
  db: TestDatabase,
  rc: DatabaseRc,
  libsql: TransactionOf<LibsqlTestDatabase>,
  nodeSqlite: TransactionOf<NodeSQLiteDatabase>,
  pg: TransactionOf<NodePgDatabase>,
): void {
  // @ts-expect-error a database is no transaction: it has no rollback
  outbox.enqueue(db, placed)
  // @ts-expect-error nor is one of drizzle 1.0
  outbox.enqueue(rc, placed)
  // @ts-expect-error libsql answers with promises
  outbox.enqueue(libsql, placed)
  // @ts-expect-error node:sqlite counts changes in another type, and is not supported
  outbox.enqueue(nodeSqlite, placed)
  // @ts-expect-error another dialect has no run
  outbox.enqueue(pg, placed)
  outbox.enqueue(asTransaction(db), placed)
  outbox.enqueue(asTransaction(rc), placed)
  // @ts-expect-error the receipts of a synchronous driver are no promise
  const promise: Promise<unknown> = db.transaction((tx) => outbox.enqueue(tx, placed))
  void promise
  // @ts-expect-error drizzle 1.0 refuses an async callback with a synchronous driver
  rc.transaction(async (tx) => outbox.enqueue(tx, placed))
}

/** Only compiled: what it calls would throw. */
function wrongLibsqlHandles(
  outbox: LibsqlOutbox,
  db: LibsqlTestDatabase,
  rc: LibsqlDatabaseRc,
  sync: TransactionOf<TestDatabase>,
  pg: TransactionOf<NodePgDatabase>,
): void {
  // @ts-expect-error a database is no transaction: it has no rollback
  void outbox.enqueue(db, placed)
  // @ts-expect-error nor is one of drizzle 1.0
  void outbox.enqueue(rc, placed)
  // @ts-expect-error better-sqlite3 answers without a promise
  void outbox.enqueue(sync, placed)
  // @ts-expect-error another dialect has no run
  void outbox.enqueue(pg, placed)
  void outbox.enqueue(asTransaction(db), placed)
  void outbox.enqueue(asTransaction(rc), placed)
}

/** Only compiled: what it calls would throw. */
function wrongHandlers(
  inbox: SqliteInbox,
  asyncInbox: LibsqlInbox,
  tx: TransactionOf<TestDatabase>,
  asyncTx: TransactionOf<LibsqlTestDatabase>,
): void {
  const result: boolean = inbox.once(tx, 'billing', 'm-1', () => {})
  void result
  inbox.once(tx, 'billing', 'm-1', () => tx.run('SELECT 1'))
  inbox.once(tx, 'billing', 'm-1', () => {
    throw new Error('no')
  })
  inbox.once(tx, 'billing', 'm-1', () => JSON.parse('{}'))
  // @ts-expect-error the handler of a synchronous driver returns no promise
  inbox.once(tx, 'billing', 'm-1', async () => {})
  // @ts-expect-error nor does it return one now and then
  inbox.once(tx, 'billing', 'm-1', () => (result ? Promise.resolve() : undefined))
  // @ts-expect-error a transaction of another driver
  inbox.once(asyncTx, 'billing', 'm-1', () => {})
  void asyncInbox.once(asyncTx, 'billing', 'm-1', async () => {})
  void asyncInbox.once(asyncTx, 'billing', 'm-1', () => {})
  // @ts-expect-error a transaction of another driver
  void asyncInbox.once(tx, 'billing', 'm-1', () => {})
}

/** Only compiled: what it calls would throw. */
function wrongDatabases(
  pg: NodePgDatabase,
  nodeSqlite: NodeSQLiteDatabase,
  db: TestDatabase,
  tx: TransactionOf<TestDatabase>,
  asyncTx: TransactionOf<LibsqlTestDatabase>,
): void {
  // @ts-expect-error another dialect
  sqliteOutbox({ db: pg })
  // @ts-expect-error node:sqlite is not supported
  sqliteOutbox({ db: nodeSqlite })
  // @ts-expect-error a transaction is no database: it ends
  sqliteOutbox({ db: tx })
  // @ts-expect-error a transaction is no database: it ends
  sqliteOutbox({ db: asyncTx })
  // @ts-expect-error a misspelt option
  sqliteOutbox({ db, perfix: 'mail_' })
  // @ts-expect-error a misspelt option
  sqliteInbox({ db, perfix: 'mail_' })
  // @ts-expect-error another dialect
  void setup(pg)
  // @ts-expect-error another dialect
  void setupInbox(pg)
}
