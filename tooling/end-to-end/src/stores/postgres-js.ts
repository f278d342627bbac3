import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { poolSize } from '../application.ts'
import { type PgApplication, pgApplication, setUpPg } from './pg.ts'

export function openPostgresJs(url: string): PgApplication {
  // its question for types would end the process when the connection breaks while it is asked
  const client = postgres(url, { max: poolSize, onnotice: () => undefined, fetch_types: false })
  return pgApplication(drizzle({ client }), () => client.end())
}

export async function createPostgresJs(url: string): Promise<PgApplication> {
  const client = postgres(url, { max: 1, onnotice: () => undefined })
  await setUpPg(drizzle({ client }))
  await client.end()
  return openPostgresJs(url)
}
