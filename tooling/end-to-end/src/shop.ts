import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { poolSize } from './application.ts'
import { type PgApplication, type PgApplicationOptions, pgApplication, setUpPg } from './stores/pg.ts'

/** An application on PostgreSQL through node-postgres. */
export interface Shop extends PgApplication {
  readonly db: NodePgDatabase
  query(text: string): Promise<readonly Record<string, unknown>[]>
}

export async function createShop(url: string, options?: PgApplicationOptions): Promise<Shop> {
  const shop = openShop(url, options)
  await setUpPg(shop.db, options)
  return shop
}

export function openShop(url: string, options?: PgApplicationOptions): Shop {
  const pool = new pg.Pool({ connectionString: url, max: options?.hasOneSession ? 3 : poolSize })
  pool.on('error', () => undefined) // an idle connection that breaks is replaced
  pool.on('connect', (client) => client.on('error', () => undefined)) // and who uses one gets the error from its query
  const db = drizzle({ client: pool })
  return {
    ...pgApplication(db, () => pool.end(), options),
    db,
    query: async (text) => (await pool.query(text)).rows,
  }
}
