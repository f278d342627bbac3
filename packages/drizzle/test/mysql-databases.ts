import type { ServiceName } from '@outbox/services'
import { createMysqlDatabase, sharedServer, type TestDatabase } from '@outbox/services'
import { drizzle as drizzleMysql, type MySql2Database } from 'drizzle-orm/mysql2'
import { drizzle as drizzleRc } from 'drizzle-orm-rc/mysql2'
import { createConnection, createPool, type Pool, type PoolOptions, type RowDataPacket } from 'mysql2/promise'

export type MysqlServer = Extract<ServiceName, 'mysql' | 'mariadb'>

/** Both servers, by title. */
export const servers: readonly (readonly [string, MysqlServer])[] = [
  ['MySQL', 'mysql'],
  ['MariaDB', 'mariadb'],
]

/** An empty database of the test's own on the shared server. */
export async function ownDatabase(server: MysqlServer): Promise<TestDatabase> {
  return createMysqlDatabase(await sharedServer(server))
}

/** A drizzle database over a pool of its own, which disposing ends. */
export interface Opened<Database> extends AsyncDisposable {
  readonly db: Database
  readonly pool: Pool
}

export type TestDb = MySql2Database<Record<string, never>> & { readonly $client: Pool }

export function openMysql(url: string, options: PoolOptions = {}): Opened<TestDb> {
  const pool = createPool({ uri: url, connectionLimit: 6, ...options })
  return { db: drizzleMysql({ client: pool }), pool, [Symbol.asyncDispose]: () => pool.end() }
}

export function openMysqlRc(
  url: string,
  options: PoolOptions = {},
): Opened<ReturnType<typeof drizzleRc<Record<string, never>, Pool>>> {
  const pool = createPool({ uri: url, connectionLimit: 6, ...options })
  return { db: drizzleRc({ client: pool }), pool, [Symbol.asyncDispose]: () => pool.end() }
}

/** How many sessions of a database wait for a lock. Asked over a connection of its own, outside every transaction. */
export async function sessionsWaiting({ name, url }: TestDatabase): Promise<number> {
  const connection = await createConnection(url)
  const [rows] = await connection.query<RowDataPacket[]>(
    `select count(*) as count from information_schema.innodb_trx t
    join information_schema.processlist p on p.id = t.trx_mysql_thread_id
    where p.db = ? and t.trx_state = 'LOCK WAIT' and p.command <> 'Sleep'`, // innodb_trx may be 0.1 s old
    [name],
  )
  await connection.end()
  return rows[0]?.['count']
}

/** What a query gives, as plain objects. */
export async function rowsOf(pool: Pool, text: string): Promise<readonly Record<string, unknown>[]> {
  const [rows] = await pool.query<RowDataPacket[]>(text)
  return rows.map((row) => ({ ...row }))
}

/** Removes what stands in the tables of an outbox. */
export async function emptied(pool: Pool): Promise<void> {
  for (const statement of emptying) await pool.query(statement)
}

/**
 * What empties the tables of an outbox, and leaves no trace for which a later transaction would wait.
 *
 * A deleted row remains until the engine purges it, later still while an old snapshot is open anywhere on the server.
 * Who inserts its key again locks the gap that follows it, as in no life outside of tests: no sequence is given twice.
 */
export const emptying: readonly string[] = [
  'truncate outbox_entries',
  'update outbox_sequences set last_sequence = 0',
  ...['aggregates', 'relays', 'leases', 'meta'].map((table) => `delete from outbox_${table}`),
]
