import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { pgOutbox } from '@outbox/drizzle/pg'
import { redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Redis } from 'ioredis'
import { Pool } from 'pg'
import { buildApp } from './app.ts'
import { ordersIn } from './orders.ts'

// The whole process: HTTP and a relay beside it. SIGTERM or SIGINT ends it in order: requests that are under way are
// answered, then the relay finishes what is in flight, then connections close.

const stop = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())

const pool = new Pool({ connectionString: process.env['DATABASE_URL'] })
pool.on('error', (error) => console.error(`PostgreSQL: ${error.message}`))
pool.on('connect', (client) => client.on('error', () => {})) // in use: the next statement rejects
const db = drizzle({ client: pool })
const redis = new Redis(process.env['REDIS_URL'] ?? '', { socketTimeout: 10_000 })
redis.on('error', (error) => console.error(`Redis: ${error.message}`))

const outbox = pgOutbox({ db })
const relay = createRelay({
  store: outbox,
  publisher: redisPublisher({ client: redis, stream: process.env['STREAM'] ?? 'orders' }),
  drainMs: 8_000, // with the longest request, less than what the platform allows between SIGTERM and SIGKILL
  on: {
    warning: ({ message }) => console.error(message),
    error: ({ error, during }) => console.error(during, error),
  },
})

const orders = ordersIn(db, outbox, async (cents) => {
  console.log(`charging ${cents} cents`)
  await setTimeout(300) // a payment service far away
})
const app = buildApp(orders)
try {
  await relay.start()
  console.log(`listening on ${await app.listen({ host: '127.0.0.1', port: 0 })}`)
  if (!stop.signal.aborted) await once(stop.signal, 'abort')
} finally {
  await app.close()
  await relay.stop()
  redis.disconnect()
  await pool.end()
}
