import { event, type Inbox, type Outbox, type Receipt } from '@outbox/core'
import type { PgTransaction } from '@outbox/drizzle/pg'
import { asTransaction, type PgInbox, type PgOutbox, pgInbox, pgOutbox, setup, setupInbox } from '@outbox/drizzle/pg'
import { inboxTable, outboxTables } from '@outbox/drizzle/pg/schema'
import type { drizzle as betterSqlite } from 'drizzle-orm/better-sqlite3'
import type { drizzle as nodePostgres } from 'drizzle-orm/node-postgres'
import type { drizzle as pglite } from 'drizzle-orm/pglite'
import type { drizzle as postgresJs } from 'drizzle-orm/postgres-js'
import type { drizzle as betterSqliteRc } from 'drizzle-orm-rc/better-sqlite3'
import type { drizzle as nodePostgresRc } from 'drizzle-orm-rc/node-postgres'
import type { drizzle as pgliteRc } from 'drizzle-orm-rc/pglite'
import type { drizzle as postgresJsRc } from 'drizzle-orm-rc/postgres-js'

/**
 * Compiled by pg-types.test.ts, never run: which handles fit where, under drizzle 0.45 and 1.0. Every expected error
 * that is none fails the compilation too.
 */
interface Databases {
  readonly nodePostgres: ReturnType<typeof nodePostgres>
  readonly postgresJs: ReturnType<typeof postgresJs>
  readonly pglite: ReturnType<typeof pglite>
  readonly nodePostgresRc: ReturnType<typeof nodePostgresRc>
  readonly postgresJsRc: ReturnType<typeof postgresJsRc>
  readonly pgliteRc: ReturnType<typeof pgliteRc>
}

const placed = event('order.placed', { aggregateId: '1', payload: { total: 3 } })

export async function transactionsFit(dbs: Databases, outbox: PgOutbox): Promise<void> {
  const receipts: readonly Receipt[] = await dbs.nodePostgres.transaction((tx) => outbox.enqueue(tx, placed))
  await dbs.postgresJs.transaction((tx) => outbox.enqueue(tx, placed))
  await dbs.pglite.transaction((tx) => outbox.enqueue(tx, [placed, placed]))
  await dbs.nodePostgresRc.transaction((tx) => outbox.enqueue(tx, placed))
  await dbs.postgresJsRc.transaction((tx) => outbox.enqueue(tx, placed))
  await dbs.pgliteRc.transaction((tx) => outbox.enqueue(tx, placed))
  await dbs.nodePostgres.transaction((tx) => tx.transaction((inner) => outbox.enqueue(inner, placed)))
  await dbs.nodePostgresRc.transaction((tx) => tx.transaction((inner) => outbox.enqueue(inner, placed)))
  await outbox.enqueue(asTransaction(dbs.nodePostgres), placed)
  await outbox.enqueue(asTransaction(dbs.postgresJsRc), placed)
  void receipts
}

export async function databasesFit(dbs: Databases): Promise<void> {
  pgOutbox({ db: dbs.nodePostgres })
  pgOutbox({ db: dbs.postgresJs, schema: 'messaging' })
  pgOutbox({ db: dbs.pglite, prefix: 'mail_' })
  pgOutbox({ db: dbs.nodePostgresRc })
  pgOutbox({ db: dbs.postgresJsRc })
  pgOutbox({ db: dbs.pgliteRc })
  await setup(dbs.nodePostgresRc, outboxTables().entries ? {} : { schema: 'messaging' })
}

export async function databasesAreNoTransactions(dbs: Databases, outbox: PgOutbox): Promise<void> {
  // @ts-expect-error a database has no rollback
  await outbox.enqueue(dbs.nodePostgres, placed)
  // @ts-expect-error a database has no rollback
  await outbox.enqueue(dbs.postgresJs, placed)
  // @ts-expect-error a database has no rollback
  await outbox.enqueue(dbs.pglite, placed)
  // @ts-expect-error a database has no rollback
  await outbox.enqueue(dbs.nodePostgresRc, placed)
  // @ts-expect-error a database has no rollback
  await outbox.enqueue(dbs.postgresJsRc, placed)
  // @ts-expect-error a database has no rollback
  await outbox.enqueue(dbs.pgliteRc, placed)
}

export function otherDialectsDoNotFit(
  outbox: PgOutbox,
  sqlite: ReturnType<typeof betterSqlite>,
  sqliteRc: ReturnType<typeof betterSqliteRc>,
): void {
  // @ts-expect-error a transaction of SQLite has no execute
  sqlite.transaction((tx) => void outbox.enqueue(tx, placed))
  // @ts-expect-error a transaction of SQLite has no execute
  sqliteRc.transaction((tx) => void outbox.enqueue(tx, placed))
  // @ts-expect-error a database of SQLite has no execute
  pgOutbox({ db: sqlite })
  // @ts-expect-error a database of SQLite has no execute
  asTransaction(sqliteRc)
}

export async function transactionsAreNoDatabases(dbs: Databases): Promise<void> {
  // @ts-expect-error it ends
  await dbs.nodePostgres.transaction(async (tx) => void pgOutbox({ db: tx }))
  // @ts-expect-error it ends
  await dbs.postgresJsRc.transaction(async (tx) => void pgOutbox({ db: tx }))
}

export function optionsAreChecked(dbs: Databases): void {
  // @ts-expect-error a misspelt option
  pgOutbox({ db: dbs.pglite, perfix: 'mail_' })
  // @ts-expect-error no such mode
  pgOutbox({ db: dbs.pglite, notify: 'sometimes' })
}

/** A test double that takes any handle stands in for the outbox, and the outbox for the trait. */
export function doublesFit(outbox: PgOutbox, double: Outbox<unknown>): readonly Outbox<PgTransaction>[] {
  return [outbox, double]
}

export async function inboxesTakeTransactionsOnly(dbs: Databases, inbox: PgInbox): Promise<void> {
  const handler = async (): Promise<void> => undefined
  const ran: boolean = await dbs.nodePostgres.transaction((tx) => inbox.once(tx, 'billing', 'm-1', handler))
  await dbs.postgresJs.transaction((tx) => inbox.once(tx, 'billing', 'm-1', () => undefined))
  await dbs.pglite.transaction((tx) => tx.transaction((inner) => inbox.once(inner, 'billing', 'm-1', handler)))
  await dbs.nodePostgresRc.transaction((tx) => inbox.once(tx, 'billing', 'm-1', handler))
  await dbs.postgresJsRc.transaction((tx) => inbox.once(tx, 'billing', 'm-1', handler))
  await dbs.pgliteRc.transaction((tx) => inbox.once(tx, 'billing', 'm-1', handler))
  await inbox.once(asTransaction(dbs.nodePostgres), 'billing', 'm-1', handler)
  // @ts-expect-error a database has no rollback
  await inbox.once(dbs.nodePostgres, 'billing', 'm-1', handler)
  // @ts-expect-error a database has no rollback
  await inbox.once(dbs.postgresJsRc, 'billing', 'm-1', handler)
  // @ts-expect-error it ends
  await dbs.nodePostgres.transaction(async (tx) => void pgInbox({ db: tx }))
  // @ts-expect-error a misspelt option
  pgInbox({ db: dbs.pglite, perfix: 'mail_' })
  await setupInbox(dbs.pgliteRc, inboxTable() ? {} : { schema: 'messaging' })
  pgInbox({ db: dbs.nodePostgresRc, schema: 'messaging', prefix: 'mail_' })
  void ran
}

/** A test double that takes any handle stands in for the inbox, and the inbox for the contract. */
export function inboxDoublesFit(inbox: PgInbox, double: Inbox<unknown>): readonly Inbox<PgTransaction>[] {
  return [inbox, double]
}
