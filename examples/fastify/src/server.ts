import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { pgOutbox } from '@outbox/drizzle/pg'
import { redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Redis } from 'ioredis'
import { Pool } from 'pg'
import { buildApp, closeApp } from './app.ts'
import { ordersIn } from './orders.ts'

// The whole process: HTTP and a relay beside it. SIGTERM or SIGINT ends it in order: requests that are under way are
// answered, then the relay finishes what is in flight, then connections close. Each step has a time, and is taken
// whatever became of the one before: 5 s, 8 s, and 10 s for a connection that has gone silent.

const stop = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())

const pool = new Pool({
  connectionString: process.env['DATABASE_URL'],
  connectionTimeoutMillis: 5_000,
  query_timeout: 10_000, // a connection that went silent is given up
  keepAlive: true,
})
pool.on('error', (error) => console.error(`PostgreSQL: ${error.message}`))
pool.on('connect', (client) => client.on('error', () => {})) // in use: the next statement rejects
const db = drizzle({ client: pool })
const redis = new Redis(process.env['REDIS_URL'] ?? '', { socketTimeout: 10_000 })
redis.on('error', (error) => console.error(`Redis: ${error.message}`))

const outbox = pgOutbox({ db })
const relay = createRelay({
  store: outbox,
  publisher: redisPublisher({ client: redis, stream: process.env['STREAM'] ?? 'orders' }),
  drainMs: 8_000,
  on: {
    dead: ({ entry, reason }) => console.error(`dead letter ${entry.id}: ${reason}`),
    destinationDown: ({ destination, error }) => console.error(`${destination} is away:`, error),
    destinationUp: ({ destination }) => console.error(`${destination} is back`),
    storeDown: ({ error }) => console.error('the database is away:', error),
    storeUp: () => console.error('the database is back'),
    warning: ({ message }) => console.error(message),
    error: ({ error, during }) => console.error(during, error),
  },
})

const orders = ordersIn(db, outbox, async (article) => {
  console.log(`asking for ${article}`)
  await setTimeout(300) // a warehouse far away
  return true
})
const app = buildApp(orders)
try {
  await relay.start()
  console.log(`listening on ${await app.listen({ host: '127.0.0.1', port: 0 })}`)
  if (!stop.signal.aborted) await once(stop.signal, 'abort')
} finally {
  try {
    await closeApp(app, 5_000)
  } finally {
    try {
      await relay.stop()
    } finally {
      redis.disconnect()
      await pool.end()
    }
  }
}
