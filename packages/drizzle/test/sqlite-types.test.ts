import type { Receipt } from '@outbox/core'
import { event } from '@outbox/core'
import type { LibSQLDatabase } from 'drizzle-orm/libsql'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { drizzle as drizzleRc } from 'drizzle-orm-rc/better-sqlite3'
import { expectTypeOf, test } from 'vitest'
import { asTransaction, type SqliteOutbox, setup, sqliteOutbox } from '../src/sqlite/index.ts'
import { newOutboxFile } from './sqlite-files.ts'

type TransactionOf<Database extends { transaction: (work: never) => unknown }> = Parameters<
  Database['transaction']
>[0] extends (tx: infer Tx) => unknown
  ? Tx
  : never

const placed = event('order.placed', { aggregateId: '1', payload: { total: 3 } })

test('the transaction of drizzle 0.45 and of 1.0 fits, and receipts come back, not a promise', () => {
  const file = newOutboxFile()
  const rc = drizzleRc({ client: file.db.$client })
  const outbox = sqliteOutbox({ db: file.db })
  const outboxRc = sqliteOutbox({ db: rc })
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

test('a database, a handle of an asynchronous driver or of another dialect, and a promise do not compile', () => {
  expectTypeOf<WrongHandles>().toBeFunction()
  expectTypeOf<WrongDatabases>().toBeFunction()
})

type WrongHandles = typeof wrongHandles
type WrongDatabases = typeof wrongDatabases

/** Only compiled: what it calls would throw. */
function wrongHandles(
  outbox: SqliteOutbox,
  db: ReturnType<typeof newOutboxFile>['db'],
  rc: ReturnType<typeof drizzleRc>,
  libsql: TransactionOf<LibSQLDatabase>,
  pg: TransactionOf<NodePgDatabase>,
): void {
  // @ts-expect-error a database is no transaction: it has no rollback
  outbox.enqueue(db, placed)
  // @ts-expect-error nor is one of drizzle 1.0
  outbox.enqueue(rc, placed)
  // @ts-expect-error libsql answers with promises
  outbox.enqueue(libsql, placed)
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
function wrongDatabases(
  libsql: LibSQLDatabase,
  pg: NodePgDatabase,
  db: ReturnType<typeof newOutboxFile>['db'],
  tx: TransactionOf<ReturnType<typeof newOutboxFile>['db']>,
): void {
  // @ts-expect-error libsql answers with promises
  sqliteOutbox({ db: libsql })
  // @ts-expect-error another dialect
  sqliteOutbox({ db: pg })
  // @ts-expect-error a transaction is no database: it ends
  sqliteOutbox({ db: tx })
  // @ts-expect-error a misspelt option
  sqliteOutbox({ db, perfix: 'mail_' })
  // @ts-expect-error another dialect
  setup(pg)
}
