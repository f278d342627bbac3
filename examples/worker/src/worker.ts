import { pgOutbox } from '@outbox/drizzle/pg'
import { natsPublisher } from '@outbox/nats'
import { createRelay } from '@outbox/relay'
import { drizzle } from 'drizzle-orm/node-postgres'
import { connect } from 'nats'
import { Pool } from 'pg'
import { purgeUntil } from './purge.ts'

// A relay in a process of its own. Start as many as you like: they share the work, and take over from one another.
// SIGTERM or SIGINT: it finishes what is in flight, hands its share over, closes what it opened, and ends with code 0.
// It ends with code 1 and says why if its set-up is wrong, or if NATS cannot be reached at the start. A later outage
// ends nothing: it waits.

const stop = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())

const pool = new Pool({
  connectionString: process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres',
})
pool.on('error', (error) => console.error(`PostgreSQL: ${error.message}`))
pool.on('connect', (client) => client.on('error', () => {})) // in use: the next statement rejects
const outbox = pgOutbox({ db: drizzle({ client: pool }) })
const connection = await connect({
  servers: process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222',
  maxReconnectAttempts: -1, // after any outage, however long
})
const publisher = natsPublisher({
  connection,
  subject: `${process.env['STREAM'] ?? 'shop'}.{aggregateType}.{aggregateId}.{eventType}`,
})

const relay = createRelay({
  store: outbox,
  publisher,
  drainMs: 8_000, // less than what the platform allows between SIGTERM and SIGKILL
  on: {
    dead: ({ entry, reason }) => console.error(`dead letter ${entry.id}: ${reason}`),
    destinationDown: ({ destination, error }) => console.error(`${destination} is away:`, error),
    destinationUp: ({ destination }) => console.error(`${destination} is back`),
    storeDown: ({ error }) => console.error('the database is away:', error),
    storeUp: () => console.error('the database is back'),
    warning: ({ message }) => console.error(message),
    error: ({ error, during }) => console.error(`${during}:`, error),
  },
})
try {
  await Promise.all([relay.run({ signal: stop.signal }), purgeUntil(stop.signal, outbox)])
  const { published, duplicates } = relay.stats()
  console.log(`published ${published}, of which the broker had ${duplicates} already`)
} finally {
  await publisher.close()
  await connection.drain()
  await pool.end()
}
