import { randomUUID } from 'node:crypto'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection, nanos } from '@nats-io/transport-node'
import { setup } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { Redis } from 'ioredis'
import { Pool } from 'pg'
import { createTables } from './orders.ts'

export interface Servers extends AsyncDisposable {
  readonly db: NodePgDatabase
  readonly redis: Redis
  /** another connection, which waits for messages */
  readonly consumerRedis: Redis
  readonly nats: NatsConnection
  /** the name of the stream at both brokers, and what its subjects at NATS begin with */
  readonly stream: string
}

const minutes = 60_000

/**
 * Connects to PostgreSQL, Redis and NATS. This run has a schema and streams of its own, which disposing removes, so
 * that it meets nobody else's: an application has fixed names instead.
 */
export async function openServers(): Promise<Servers> {
  const run = `example_${randomUUID().slice(0, 8)}`
  await using opening = new AsyncDisposableStack()
  const db = await connectPostgres(run, opening)
  const redis = await connectRedis(opening)
  // a read whose answer is lost with its connection is an error, and is not sent again behind the consumer's back
  const consumerRedis = await connectRedis(opening, { maxRetriesPerRequest: 0 })
  opening.defer(() => deleteKeys(redis, run))
  const nats = await connectNats(run, opening)
  const open = opening.move()
  return { db, redis, consumerRedis, nats, stream: run, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

async function connectPostgres(run: string, opening: AsyncDisposableStack): Promise<NodePgDatabase> {
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

async function connectNats(run: string, opening: AsyncDisposableStack): Promise<NatsConnection> {
  const connection = await connect({
    servers: process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222',
    maxReconnectAttempts: -1, // after any outage, however long
  })
  opening.defer(() => connection.drain())
  const manager = await jetstreamManager(connection)
  await manager.streams.add({
    name: run,
    subjects: [`${run}.>`],
    duplicate_window: nanos(15 * minutes), // longer than the relay tries an event again
  })
  opening.defer(async () => void (await manager.streams.delete(run)))
  return connection
}
