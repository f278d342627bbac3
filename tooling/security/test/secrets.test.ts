import { randomBytes } from 'node:crypto'
import { createClient } from '@libsql/client'
import { connect } from '@nats-io/transport-node'
import type { LeasedSource, Publisher } from '@outbox/core'
import { mysqlOutbox } from '@outbox/drizzle/mysql'
import { pgOutbox } from '@outbox/drizzle/pg'
import { sqliteOutbox } from '@outbox/drizzle/sqlite'
import { mongoOutbox } from '@outbox/mongo'
import { natsPublisher } from '@outbox/nats'
import { redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import { createMysqlDatabase, describeWith, sharedServer, startNats, startRedis, waitFor } from '@outbox/services'
import { drizzle as drizzleLibsql } from 'drizzle-orm/libsql'
import { drizzle as drizzleMysql } from 'drizzle-orm/mysql2'
import { drizzle as drizzlePg } from 'drizzle-orm/node-postgres'
import { drizzle as drizzlePostgresJs } from 'drizzle-orm/postgres-js'
import { Redis } from 'ioredis'
import { MongoClient } from 'mongodb'
import { createPool } from 'mysql2/promise'
import pg from 'pg'
import postgres from 'postgres'
import { describe, expect, it } from 'vitest'
import { everythingIn } from '../src/everything.ts'
import { openVictim } from '../src/systems.ts'

const password = 'correct-horse-battery'
const wrongPassword = 'staple-of-secrets'

function expectNoSecret(values: readonly unknown[]): void {
  expect(values.length).toBeGreaterThan(0)
  for (const value of values) {
    const everything = everythingIn(value)
    for (const secret of [password, wrongPassword, encodeURIComponent(wrongPassword)]) {
      expect(everything).not.toContain(secret)
    }
  }
}

const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

/** Starts a relay, lets it run into the wall, and gives all that it told and threw. */
async function toldBy(store: LeasedSource, publisher: Publisher, until: RegExp): Promise<readonly unknown[]> {
  const told: unknown[] = []
  const note = (kind: string) => (event: object) =>
    void told.push({ kind, ...event, entry: undefined, entries: undefined })
  const relay = createRelay({
    store,
    publisher,
    pollIntervalMs: 100,
    on: {
      retry: note('retry'),
      dead: note('dead'),
      destinationDown: note('destinationDown'),
      storeDown: note('storeDown'),
      warning: note('warning'),
      error: note('error'),
    },
  })
  const failure = await errorOf(relay.start())
  // a relay that did not start has told why; any other meets the trouble soon
  if (failure === undefined) await waitFor(() => until.test(everythingIn(told)), { what: 'the relay to tell' })
  await relay.stop()
  expect(failure ?? told[0], 'what was told').toBeDefined()
  return [...told, failure].filter((value) => value !== undefined)
}

const anOrder = { type: 'order.placed', aggregateId: '1', payload: {} }

describeWith({ own: 'redis' }, 'the password of a Redis', () => {
  it.each([
    ['is wrong', { password: wrongPassword }],
    ['is missing', {}],
    ['belongs to no user', { username: 'nobody', password: wrongPassword }],
  ])('is told to nobody when it %s', async (_, credentials) => {
    await using server = await startRedis({ config: { requirepass: password } })
    await using victim = await openVictim('sqlite')
    await victim.application.commit(anOrder)
    const client = new Redis({ host: server.host, port: server.port, ...credentials })
    client.on('error', () => undefined)
    const publisher = redisPublisher({ client, stream: 'orders' })
    const told = await toldBy(victim.application.outbox, publisher, /destinationDown|retry|warning/)
    const check = await errorOf(publisher.check?.({ retryHorizonMs: 1 }) ?? Promise.resolve())
    const probe = await errorOf(publisher.probe?.({}) ?? Promise.resolve())
    client.disconnect()
    expect([check, probe]).toEqual([expect.any(Error), expect.any(Error)])
    expectNoSecret([...told, check, probe])
  })

  it('is told to nobody when the server is away', async () => {
    await using victim = await openVictim('sqlite')
    await victim.application.commit(anOrder)
    const client = new Redis(`redis://app:${wrongPassword}@127.0.0.1:1/0`)
    client.on('error', () => undefined)
    const publisher = redisPublisher({ client, stream: 'orders' })
    const told = await toldBy(victim.application.outbox, publisher, /destinationDown|warning/)
    client.disconnect()
    expectNoSecret(told)
  })
})

describeWith({ own: 'nats' }, 'the password of a NATS server', () => {
  it('is told to nobody, whatever becomes of the connection', async () => {
    const config = `authorization { users = [{ user: app, password: "${password}", permissions: { publish: "nothing.>" } }] }`
    await using server = await startNats({ config })
    await using victim = await openVictim('sqlite')
    await victim.application.commit(anOrder)
    const connection = await connect({ servers: server.url, user: 'app', pass: password, reconnectTimeWait: 20 })
    const publisher = natsPublisher({ connection, subject: 'orders.{aggregateId}' })
    const forbidden = await toldBy(victim.application.outbox, publisher, /destinationDown|retry|warning|error/)
    const check = await errorOf(publisher.check?.({ retryHorizonMs: 1 }) ?? Promise.resolve())
    await server.kill()
    const away = await toldBy(victim.application.outbox, publisher, /destinationDown|warning/)
    await connection.close()
    const closed = await errorOf(publisher.check?.({ retryHorizonMs: 1 }) ?? Promise.resolve())
    expect([check, closed]).toEqual([expect.any(Error), expect.any(Error)])
    expectNoSecret([...forbidden, check, ...away, closed])
  })
})

describe.each(['mysql', 'mariadb'] as const)('the password of a user of %s', (server) => {
  describeWith(server, 'of the tests', () => {
    it.each([
      ['is wrong', wrongPassword],
      ['is missing', ''],
    ])('is told to nobody when it %s', async (_, given) => {
      await using database = await createMysqlDatabase(await sharedServer(server))
      const user = `u${randomBytes(6).toString('hex')}`
      await using owner = createPool({ uri: database.url, connectionLimit: 1 })
      await owner.query(`create user '${user}'@'%' identified by '${password}'`)
      const url = new URL(database.url)
      Object.assign(url, { username: user, password: given })
      await using client = createPool({ uri: url.href })
      const store = mysqlOutbox({ db: drizzleMysql({ client }) })
      const told = await toldBy(store, nowhere, /storeDown|error/)
      await owner.query(`drop user '${user}'@'%'`)
      expect(everythingIn(told)).toContain('Access denied')
      expectNoSecret(told)
    })
  })
})

describe('the password of a database', () => {
  it.each([
    ['no server', `postgres://app:${wrongPassword}@127.0.0.1:1/shop`],
    ['no host', `postgres://app:${wrongPassword}@db.invalid/shop`],
    ['a URL that is none', `postgres://app:${wrongPassword}@[/shop`],
    ['a port that is none', `postgres://app:${wrongPassword}@127.0.0.1:99999999/shop`],
  ])('is told to nobody by a relay: %s', async (_, url) => {
    const pool = new pg.Pool({ connectionString: url, connectionTimeoutMillis: 1_000 })
    const store = pgOutbox({ db: drizzlePg({ client: pool }), listen: false })
    expectNoSecret(await toldBy(store, nowhere, /storeDown|error/))
    await pool.end()
  })

  it('is told to nobody by a relay over postgres.js', async () => {
    const client = postgres(`postgres://app:${wrongPassword}@127.0.0.1:1/shop`, { connect_timeout: 1 })
    const store = pgOutbox({ db: drizzlePostgresJs({ client }), listen: false })
    expectNoSecret(await toldBy(store, nowhere, /storeDown|error/))
    await client.end()
  })

  it('is told to nobody by a relay over mysql2', async () => {
    const client = createPool({ uri: `mysql://app:${wrongPassword}@127.0.0.1:1/shop` })
    const store = mysqlOutbox({ db: drizzleMysql({ client }) })
    expectNoSecret(await toldBy(store, nowhere, /storeDown|error/))
    await client.end()
  })

  it('is told to nobody by a relay over the driver of MongoDB', async () => {
    const client = new MongoClient(`mongodb://app:${wrongPassword}@127.0.0.1:1/`, { serverSelectionTimeoutMS: 300 })
    const store = mongoOutbox({ client, db: client.db('shop') })
    expectNoSecret(await toldBy(store, nowhere, /storeDown|error/))
    await client.close()
  })

  it('nor is the token of a libsql server', async () => {
    const client = createClient({ url: 'http://127.0.0.1:1', authToken: wrongPassword })
    const store = sqliteOutbox({ db: drizzleLibsql({ client }) })
    expectNoSecret(await toldBy(store, nowhere, /storeDown|error/))
    client.close()
  })
})

const nowhere: Publisher = {
  name: 'nowhere',
  capabilities: { keepsOrderInBatch: true },
  publish: async (entries) => entries.map(() => ({ status: 'published' })),
}
