import { randomUUID } from 'node:crypto'
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection, nanos } from '@nats-io/transport-node'
import { setup } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { createTables } from './tables.ts'

export interface Servers extends AsyncDisposable {
  readonly db: NodePgDatabase
  readonly connection: NatsConnection
  readonly js: JetStreamClient
  readonly manager: JetStreamManager
  /** the stream's name, and what its subjects begin with */
  readonly stream: string
}

const minutes = 60_000

/**
 * Connects to PostgreSQL and NATS. This run has a schema and a stream of its own, which disposing removes, so that it
 * meets nobody else's: an application has fixed names instead.
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

  const connection = await connect({
    servers: process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222',
    maxReconnectAttempts: -1, // after any outage, however long
  })
  opening.defer(() => connection.drain())
  const manager = await jetstreamManager(connection)
  await manager.streams.add({
    name: run,
    subjects: [`${run}.>`],
    discard: 'new', // a full stream refuses: the events wait in the outbox
    duplicate_window: nanos(15 * minutes), // longer than the relay tries an event again
  })
  opening.defer(async () => void (await manager.streams.delete(run)))

  const open = opening.move()
  return {
    db,
    connection,
    js: jetstream(connection),
    manager,
    stream: run,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}
