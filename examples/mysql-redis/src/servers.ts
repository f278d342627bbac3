import { randomUUID } from 'node:crypto'
import { setup, setupInbox } from '@outbox/drizzle/mysql'
import { sql } from 'drizzle-orm'
import { drizzle, type MySql2Database } from 'drizzle-orm/mysql2'
import { Redis } from 'ioredis'
import { createPool } from 'mysql2/promise'
import { createTakings } from './box-office.ts'
import { createSeats } from './theatre.ts'

export interface Servers extends AsyncDisposable {
  readonly db: MySql2Database
  readonly redis: Redis
  readonly stream: string
}

/**
 * Connects to MySQL (or MariaDB) and Redis. This run has a database and a stream of its own, which disposing removes,
 * so that it meets nobody else's: an application has fixed names instead.
 */
export async function openServers(): Promise<Servers> {
  const run = `example_${randomUUID().slice(0, 8)}`
  const url = new URL(process.env['MYSQL_URL'] ?? 'mysql://root@127.0.0.1:3306/test')
  await using opening = new AsyncDisposableStack()

  const administration = createPool({ uri: url.href, connectionLimit: 1 })
  opening.defer(() => administration.end())
  await drizzle({ client: administration }).execute(sql`create database ${sql.identifier(run)}`)
  opening.defer(async () => {
    await drizzle({ client: administration }).execute(sql`drop database ${sql.identifier(run)}`)
  })

  url.pathname = `/${run}`
  const pool = createPool({ uri: url.href })
  opening.defer(() => pool.end())
  const db = drizzle({ client: pool })
  await setup(db) // or export the outbox's tables to drizzle-kit, and migrate as you do
  await setupInbox(db) // the inbox's table, likewise
  await createSeats(db)
  await createTakings(db)

  const redis = new Redis(process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379', {
    lazyConnect: true,
    socketTimeout: 10_000,
  })
  redis.on('error', (error) => console.error(`Redis: ${error.message}`))
  opening.defer(() => redis.disconnect())
  await redis.connect() // now, so that a wrong address is told at once
  opening.defer(() => deleteKeys(redis, run))

  const open = opening.move()
  return { db, redis, stream: `seats:${run}`, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

/** The stream, and what the publisher keeps beside it. */
async function deleteKeys(redis: Redis, run: string): Promise<void> {
  for await (const keys of redis.scanStream({ match: `*${run}*` })) {
    if (keys.length > 0) await redis.del(keys)
  }
}
