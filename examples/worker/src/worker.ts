import { pgOutbox } from '@outbox/drizzle/pg'
import { natsPublisher } from '@outbox/nats'
import { createRelay } from '@outbox/relay'
import { relayHealth } from '@outbox/relay/health'
import { drizzle } from 'drizzle-orm/node-postgres'
import { connect } from 'nats'
import { Pool } from 'pg'
import { probesOf } from './probes.ts'
import { day, purgeUntil } from './purge.ts'
import { runWatched } from './watched.ts'

// A relay in a process of its own. Start as many as you like: they share the work, and take over from one another.
// SIGTERM or SIGINT: it finishes what is in flight, hands its share over, closes what it opened, and ends with code 0,
// within 20 seconds whatever is away or silent.
// It ends with code 1 and says why if its set-up is wrong, or if NATS cannot be reached at the start. A later outage
// ends nothing: it waits.

const stop = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())

const pool = new Pool({
  connectionString: process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres',
  connectionTimeoutMillis: 5_000,
  query_timeout: 10_000, // a connection that went silent is given up: longer than a purge takes
  keepAlive: true,
})
pool.on('error', (error) => console.error(`PostgreSQL: ${error.message}`))
pool.on('connect', (client) => client.on('error', () => {})) // in use: the next statement rejects
const outbox = pgOutbox({ db: drizzle({ client: pool }) })
const connection = await connect({
  servers: process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222',
  maxReconnectAttempts: -1, // after any outage, however long
  pingInterval: 5_000, // and one that misses three pings is replaced
  maxPingOut: 3,
  timeout: 5_000,
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
const health = relayHealth({
  relay,
  store: outbox,
  onStalled: ({ reasons }) => console.error(`stalled: ${reasons.join(' ')}`),
})
const probes = probesOf(relay, health)
const { PORT } = process.env
if (PORT) probes.listen(Number(PORT)) // for the platform's probes: `/live` and `/ready`
try {
  await Promise.all([runWatched(relay, health, stop), purgeUntil(stop.signal, outbox, 7 * day)])
  const { published, duplicates } = relay.stats()
  console.log(`published ${published}, of which the broker had ${duplicates} already`)
} finally {
  probes.close()
  probes.closeAllConnections()
  await publisher.close()
  // not `drain()`, which waits for a server that is away: what the relay had in flight is settled by now
  await Promise.all([connection.close(), pool.end()])
}
