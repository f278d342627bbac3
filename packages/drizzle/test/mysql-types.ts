import { event, type Outbox, type Receipt } from '@outbox/core'
import {
  asTransaction,
  type MysqlInbox,
  type MysqlOutbox,
  type MysqlTransaction,
  mysqlInbox,
  mysqlOutbox,
  setup,
} from '@outbox/drizzle/mysql'
import { outboxTables } from '@outbox/drizzle/mysql/schema'
import type { drizzle as betterSqlite } from 'drizzle-orm/better-sqlite3'
import type { drizzle as mysql2 } from 'drizzle-orm/mysql2'
import type { drizzle as nodePostgres } from 'drizzle-orm/node-postgres'
import type { drizzle as mysql2Rc } from 'drizzle-orm-rc/mysql2'
import type { drizzle as nodePostgresRc } from 'drizzle-orm-rc/node-postgres'

/**
 * Compiled by mysql-types.test.ts, never run: which handles fit where, under drizzle 0.45 and 1.0. Every expected error
 * that is none fails the compilation too.
 */
interface Databases {
  readonly mysql: ReturnType<typeof mysql2>
  readonly mysqlRc: ReturnType<typeof mysql2Rc>
}

const placed = event('order.placed', { aggregateId: '1', payload: { total: 3 } })

export async function transactionsFit(dbs: Databases, outbox: MysqlOutbox, inbox: MysqlInbox): Promise<void> {
  const receipts: readonly Receipt[] = await dbs.mysql.transaction((tx) => outbox.enqueue(tx, placed))
  await dbs.mysqlRc.transaction((tx) => outbox.enqueue(tx, [placed, placed]))
  await dbs.mysql.transaction((tx) => tx.transaction((inner) => outbox.enqueue(inner, placed)))
  await dbs.mysqlRc.transaction((tx) => tx.transaction((inner) => outbox.enqueue(inner, placed)))
  const isFirst: boolean = await dbs.mysql.transaction((tx) => inbox.once(tx, 'billing', 'm-1', () => undefined))
  await dbs.mysqlRc.transaction((tx) => inbox.once(tx, 'billing', 'm-1', async () => undefined))
  await outbox.enqueue(asTransaction(dbs.mysql), placed)
  await outbox.enqueue(asTransaction(dbs.mysqlRc), placed)
  void [receipts, isFirst]
}

export async function databasesFit(dbs: Databases): Promise<void> {
  mysqlOutbox({ db: dbs.mysql })
  mysqlOutbox({ db: dbs.mysqlRc, schema: 'messaging', prefix: 'mail_' })
  mysqlInbox({ db: dbs.mysql })
  mysqlInbox({ db: dbs.mysqlRc })
  await setup(dbs.mysqlRc, outboxTables().entries ? {} : { schema: 'messaging' })
}

export async function databasesAreNoTransactions(
  dbs: Databases,
  outbox: MysqlOutbox,
  inbox: MysqlInbox,
): Promise<void> {
  // @ts-expect-error a database has no rollback
  await outbox.enqueue(dbs.mysql, placed)
  // @ts-expect-error a database has no rollback
  await outbox.enqueue(dbs.mysqlRc, placed)
  // @ts-expect-error a database has no rollback
  await inbox.once(dbs.mysql, 'billing', 'm-1', () => undefined)
}

interface OtherDatabases {
  readonly sqlite: ReturnType<typeof betterSqlite>
  readonly postgres: ReturnType<typeof nodePostgres>
  readonly postgresRc: ReturnType<typeof nodePostgresRc>
}

export function otherDialectsDoNotFit(outbox: MysqlOutbox, dbs: OtherDatabases): void {
  // @ts-expect-error a transaction of SQLite has no execute
  dbs.sqlite.transaction((tx) => void outbox.enqueue(tx, placed))
  // @ts-expect-error a transaction of PostgreSQL has selectDistinctOn
  void dbs.postgres.transaction((tx) => outbox.enqueue(tx, placed))
  // @ts-expect-error a transaction of PostgreSQL has selectDistinctOn
  void dbs.postgresRc.transaction((tx) => outbox.enqueue(tx, placed))
  // @ts-expect-error a database of SQLite has no execute
  mysqlOutbox({ db: dbs.sqlite })
  // @ts-expect-error a database of PostgreSQL has selectDistinctOn
  mysqlOutbox({ db: dbs.postgres })
  // @ts-expect-error a database of PostgreSQL has selectDistinctOn
  asTransaction(dbs.postgresRc)
}

export async function transactionsAreNoDatabases(dbs: Databases): Promise<void> {
  // @ts-expect-error it ends
  await dbs.mysql.transaction(async (tx) => void mysqlOutbox({ db: tx }))
  // @ts-expect-error it ends
  await dbs.mysqlRc.transaction(async (tx) => void mysqlInbox({ db: tx }))
}

export function optionsAreChecked(dbs: Databases): void {
  // @ts-expect-error a misspelt option
  mysqlOutbox({ db: dbs.mysql, perfix: 'mail_' })
}

/** A test double that takes any handle stands in for the outbox, and the outbox for the trait. */
export function doublesFit(outbox: MysqlOutbox, double: Outbox<unknown>): readonly Outbox<MysqlTransaction>[] {
  return [outbox, double]
}
