import { randomUUID } from 'node:crypto'
import { setup } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { Redis } from 'ioredis'
import { Pool } from 'pg'
import { createTables } from './tables.ts'

export interface Servers extends AsyncDisposable {
  readonly db: NodePgDatabase
  readonly redis: Redis
  /** another connection, which waits for messages */
  readonly consumerRedis: Redis
  readonly stream: string
}

/**
 * Connects to PostgreSQL and Redis. This run has a schema and a stream of its own, which disposing removes, so that
 * it meets nobody else's: an application has fixed names instead.
 */
export async function openServers(): Promise<Servers> {
  const run = `example_${randomUUID().slice(0, 8)}`
  await using opening = new AsyncDisposableStack()

  const pool = new Pool({
    connectionString: process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres',
    options: `-c search_path=${run}`,
  })
  pool.on('error', (error) => console.error(`PostgreSQL: ${error.message}`))
  pool.on('connect', (client) => client.on('error', () => {})) // in use: the next statement rejects
  opening.defer(() => pool.end())
  const db = drizzle({ client: pool })
  await db.execute(sql`create schema ${sql.identifier(run)}`)
  opening.defer(async () => void (await db.execute(sql`drop schema ${sql.identifier(run)} cascade`)))
  await setup(db) // or export the outbox's tables to drizzle-kit, and migrate as you do
  await createTables(db)

  const redis = await connectRedis(opening)
  // a read whose answer is lost with its connection is an error, and is not sent again behind the consumer's back
  const consumerRedis = await connectRedis(opening, { maxRetriesPerRequest: 0 })
  opening.defer(() => deleteKeys(redis, run))

  const open = opening.move()
  return { db, redis, consumerRedis, stream: `accounts:${run}`, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

async function connectRedis(
  opening: AsyncDisposableStack,
  options: { maxRetriesPerRequest?: number } = {},
): Promise<Redis> {
  const redis = new Redis(process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379', {
    lazyConnect: true,
    socketTimeout: 10_000,
    ...options,
  })
  redis.on('error', (error) => console.error(`Redis: ${error.message}`))
  opening.defer(() => redis.disconnect())
  await redis.connect() // now, so that a wrong address is told at once
  return redis
}

/** The stream, and what the publisher keeps beside it. */
async function deleteKeys(redis: Redis, run: string): Promise<void> {
  for await (const keys of redis.scanStream({ match: `*${run}*` })) {
    if (keys.length > 0) await redis.del(keys)
  }
}
