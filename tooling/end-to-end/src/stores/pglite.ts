import { PGlite } from '@electric-sql/pglite'
import { drizzle } from 'drizzle-orm/pglite'
import { type PgApplication, pgApplication, setUpPg } from './pg.ts'

/** PGlite through its own driver: the directory belongs to this process alone. Makes the tables if they are not there. */
export async function openPglite(directory: string): Promise<PgApplication> {
  const client = await PGlite.create(directory)
  const db = drizzle({ client })
  const { rows } = await client.query(`select 1 from pg_class where relname = 'committed'`)
  if (rows.length === 0) await setUpPg(db)
  return pgApplication(db, () => client.close())
}
