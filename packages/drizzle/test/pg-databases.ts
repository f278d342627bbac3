import { PGlite } from '@electric-sql/pglite'
import { createDatabase, sharedPostgres, type TestDatabase, waitFor } from '@outbox/services'
import { type NodePgDatabase, drizzle as onNodePostgres } from 'drizzle-orm/node-postgres'
import { drizzle as onPglite, type PgliteDatabase } from 'drizzle-orm/pglite'
import { drizzle as onPostgresJs, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import { Client, Pool } from 'pg'
import postgres from 'postgres'

/** A drizzle database over a driver's own client, which closing ends. */
export interface Opened<Database> extends AsyncDisposable {
  readonly db: Database
}

/**
 * An empty database of the test's own on the shared PostgreSQL.
 *
 * It is dropped when its sessions have ended: a driver says that its pool is closed before the server knows, and a
 * session that is cut off in between throws in the test's process.
 */
export async function ownDatabase(): Promise<TestDatabase> {
  const serverUrl = await sharedPostgres()
  const database = await createDatabase(serverUrl)
  return {
    ...database,
    async [Symbol.asyncDispose]() {
      const client = new Client({ connectionString: serverUrl })
      await client.connect()
      const sessions = 'select count(*)::int as count from pg_stat_activity where datname = $1'
      await waitFor(async () => (await client.query(sessions, [database.name])).rows[0].count === 0, {
        what: `the sessions of ${database.name} to end`,
      })
      await client.end()
      await database[Symbol.asyncDispose]()
    },
  }
}

/** How many sessions of a database wait for a lock. Asked over a connection of its own, outside every transaction. */
export async function sessionsWaiting({ name, url }: TestDatabase): Promise<number> {
  const client = new Client({ connectionString: url })
  await client.connect()
  const text = `select count(*)::int as count from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'`
  const { rows } = await client.query(text, [name])
  await client.end()
  return rows[0].count
}

export function openNodePostgres(
  url: string,
  options: { readonly max?: number } = {},
): Opened<NodePgDatabase & { readonly $client: Pool }> {
  const pool = new Pool({ connectionString: url, max: 6, ...options })
  // connections that break while they idle: tests end them on purpose
  pool.on('error', () => undefined)
  // and while they are checked out, which a pool leaves to whoever has them
  pool.on('connect', (client) => client.on('error', () => undefined))
  return { db: onNodePostgres({ client: pool }), [Symbol.asyncDispose]: () => pool.end() }
}

export function openPostgresJs(url: string): Opened<PostgresJsDatabase & { readonly $client: postgres.Sql }> {
  const client = postgres(url, { max: 6, onnotice: () => undefined })
  return { db: onPostgresJs({ client }), [Symbol.asyncDispose]: () => client.end() }
}

/** PGlite takes seconds to start: a test file shares one. */
export function openPglite(): Opened<PgliteDatabase & { readonly $client: PGlite }> {
  const client = new PGlite()
  return { db: onPglite({ client }), [Symbol.asyncDispose]: () => client.close() }
}
