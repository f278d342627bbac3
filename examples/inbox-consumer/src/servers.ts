import { randomUUID } from 'node:crypto'
import { setup, setupInbox } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { Redis } from 'ioredis'
import { Pool } from 'pg'
import { createStock } from './warehouse.ts'

export interface Servers extends AsyncDisposable {
  /** has the outbox */
  readonly shopDb: NodePgDatabase
  /** has the inbox, and could be another server */
  readonly warehouseDb: NodePgDatabase
  readonly redis: Redis
  /** another connection, which waits for messages */
  readonly consumerRedis: Redis
  readonly stream: string
}

/**
 * Connects to PostgreSQL and Redis. This run has schemas and a stream of its own, which disposing removes, so that it
 * meets nobody else's: an application has fixed names instead.
 */
export async function openServers(): Promise<Servers> {
  const run = `example_${randomUUID().slice(0, 8)}`
  await using opening = new AsyncDisposableStack()
  const shopDb = await openSchema(`${run}_shop`, opening)
  await setup(shopDb) // or export the outbox's tables to drizzle-kit, and migrate as you do
  const warehouseDb = await openSchema(`${run}_warehouse`, opening)
  await setupInbox(warehouseDb) // the inbox's table, likewise
  await createStock(warehouseDb)

  const redis = await connectRedis(opening)
  // a read whose answer is lost with its connection is an error, and is not sent again behind the consumer's back
  const consumerRedis = await connectRedis(opening, { maxRetriesPerRequest: 0 })
  opening.defer(() => deleteKeys(redis, run))
  const open = opening.move()
  return {
    shopDb,
    warehouseDb,
    redis,
    consumerRedis,
    stream: `sales:${run}`,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

async function openSchema(schema: string, opening: AsyncDisposableStack): Promise<NodePgDatabase> {
  const pool = new Pool({
    connectionString: process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres',
    options: `-c search_path=${schema}`,
  })
  pool.on('error', (error) => console.error(`PostgreSQL: ${error.message}`))
  pool.on('connect', (client) => client.on('error', () => {})) // in use: the next statement rejects
  opening.defer(() => pool.end())
  const db = drizzle({ client: pool })
  await db.execute(sql`create schema ${sql.identifier(schema)}`)
  opening.defer(async () => void (await db.execute(sql`drop schema ${sql.identifier(schema)} cascade`)))
  return db
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
