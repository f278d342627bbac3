import { randomUUID } from 'node:crypto'
import { setup } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { connect, type JetStreamManager, type NatsConnection, nanos } from 'nats'
import { Pool } from 'pg'
import { createTables } from './baskets.ts'

export interface Servers extends AsyncDisposable {
  readonly db: NodePgDatabase
  readonly connection: NatsConnection
  readonly manager: JetStreamManager
  readonly stream: string
  /** how the worker finds all this */
  readonly environment: Readonly<Record<string, string>>
}

const minutes = 60_000

/**
 * Connects to PostgreSQL and NATS. This run has a schema and a stream of its own, which disposing removes, so that it
 * meets nobody else's: an application has fixed names instead.
 */
export async function openServers(): Promise<Servers> {
  const run = `example_${randomUUID().slice(0, 8)}`
  const natsUrl = process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222'
  const databaseUrl = new URL(process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres')
  databaseUrl.searchParams.set('options', `-csearch_path=${run}`)
  await using opening = new AsyncDisposableStack()

  const pool = new Pool({ connectionString: databaseUrl.href })
  pool.on('error', (error) => console.error(`PostgreSQL: ${error.message}`))
  pool.on('connect', (client) => client.on('error', () => {})) // in use: the next statement rejects
  opening.defer(() => pool.end())
  const db = drizzle({ client: pool })
  await db.execute(sql`create schema ${sql.identifier(run)}`)
  opening.defer(async () => void (await db.execute(sql`drop schema ${sql.identifier(run)} cascade`)))
  await setup(db) // or export the outbox's tables to drizzle-kit, and migrate as you do
  await createTables(db)

  const connection = await connect({ servers: natsUrl, maxReconnectAttempts: -1 })
  opening.defer(() => connection.drain())
  const manager = await connection.jetstreamManager()
  await manager.streams.add({
    name: run,
    subjects: [`${run}.>`],
    duplicate_window: nanos(15 * minutes), // longer than the relay tries an event again
  })
  opening.defer(async () => void (await manager.streams.delete(run)))

  const open = opening.move()
  return {
    db,
    connection,
    manager,
    stream: run,
    environment: { DATABASE_URL: databaseUrl.href, NATS_URL: natsUrl, STREAM: run },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}
