import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { poolSize } from '../application.ts'
import { type PgApplication, pgApplication, setUpPg } from './pg.ts'

export function openPostgresJs(url: string): PgApplication {
  const client = postgres(url, { max: poolSize, onnotice: () => undefined })
  return pgApplication(drizzle({ client }), () => client.end())
}

export async function createPostgresJs(url: string): Promise<PgApplication> {
  const client = postgres(url, { max: 1, onnotice: () => undefined })
  await setUpPg(drizzle({ client }))
  await client.end()
  return openPostgresJs(url)
}
