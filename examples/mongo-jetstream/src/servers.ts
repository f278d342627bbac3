import { randomUUID } from 'node:crypto'
import { AckPolicy, type Consumer, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection, nanos } from '@nats-io/transport-node'
import { setup, setupInbox } from '@outbox/mongo'
import { type Db, MongoClient } from 'mongodb'
import { createCollections } from './library.ts'

export interface Servers extends AsyncDisposable {
  readonly client: MongoClient
  readonly db: Db
  readonly connection: NatsConnection
  /** the stream's name, and what its subjects begin with */
  readonly stream: string
  /** reads the whole stream */
  readonly consumer: Consumer
}

const minutes = 60_000

/**
 * Connects to MongoDB (a replica set, for it has transactions) and NATS. This run has a database and a stream of its own, which
 * disposing removes, so that it meets nobody else's: an application has fixed names instead.
 */
export async function openServers(): Promise<Servers> {
  const run = `example_${randomUUID().slice(0, 8)}`
  await using opening = new AsyncDisposableStack()

  const client = new MongoClient(process.env['MONGODB_URI'] ?? 'mongodb://127.0.0.1:27017/?directConnection=true')
  opening.defer(() => client.close())
  const db = client.db(run)
  opening.defer(async () => void (await db.dropDatabase()))
  await setup(db)
  await setupInbox(db)
  await createCollections(db)

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
  await manager.consumers.add(run, { durable_name: 'reminders', ack_policy: AckPolicy.Explicit, max_ack_pending: 1 })
  const consumer = await jetstream(connection).consumers.get(run, 'reminders')

  const open = opening.move()
  return { client, db, connection, stream: run, consumer, [Symbol.asyncDispose]: () => open.disposeAsync() }
}
