import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { OutboxError } from '@outbox/core'
import * as mysqlStore from '@outbox/drizzle/mysql'
import * as pgStore from '@outbox/drizzle/pg'
import { inboxTable as pgInboxTable, outboxTables as pgOutboxTables } from '@outbox/drizzle/pg/schema'
import * as sqliteStore from '@outbox/drizzle/sqlite'
import * as mongoStore from '@outbox/mongo'
import { decodeRedisEntry, redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import {
  createMysqlDatabase,
  describeWith,
  freshDatabase,
  sharedMongo,
  sharedServer,
  startRedis,
} from '@outbox/services'
import Database from 'better-sqlite3'
import { drizzle as drizzleSqlite } from 'drizzle-orm/better-sqlite3'
import { drizzle as drizzleMysql } from 'drizzle-orm/mysql2'
import { drizzle as drizzlePg } from 'drizzle-orm/node-postgres'
import { drizzle as drizzlePglite } from 'drizzle-orm/pglite'
import { Redis } from 'ioredis'
import { MongoClient } from 'mongodb'
import { createPool } from 'mysql2/promise'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { openVictim } from '../src/systems.ts'

const hostilePrefixes = [
  `"`,
  `'`,
  ';',
  'x; drop table precious; --',
  `x"; drop table precious; --`,
  `x'; drop table precious; --`,
  'x y',
  'X_',
  '1x',
  '',
  'ä_',
  'x\u0000',
  'x\n',
  'x_\n',
  '$1',
  'pg-',
  '__proto__-',
  'a'.repeat(33),
]

/** PostgreSQL takes any name in quotes, so these are names like others. */
const hostileSchemas = [
  `"`,
  `a"b`,
  `'`,
  ';',
  `x"; drop table precious; --`,
  `x'; drop table precious; --`,
  `x"."y`,
  'x.y',
  'x y',
  'SELECT',
  '\\',
  'E\\x',
  '{"a"}',
  '%s',
  '?',
  'line\nbreak',
  '😀',
  '__proto__',
]
/** MySQL and MariaDB take these, between backticks. */
const hostileMysqlSchemas = [
  '`',
  'a`b',
  `'`,
  `"`,
  ';',
  'x`; drop table precious; -- ',
  `x'; drop table precious; -- `,
  'x`.`y',
  'x.y',
  'x y',
  '$1',
  '$$',
  'SELECT',
  '\\',
  '%s',
  '?',
  ':name',
  '{"a"}',
  '__proto__',
]

const refusedCollectionPrefixes = [
  `"`,
  `'`,
  '`',
  ';',
  '$',
  '$cmd',
  'a$b',
  '{"$ne":1}',
  'a b',
  '1x',
  '.a',
  '',
  'ä_',
  'x\u0000',
  'x\n',
  'system.',
  'a'.repeat(65),
]
/** These are collections like others. */
const oddCollectionPrefixes = ['a.b.', 'A..', '__proto__', 'constructor.', '_-', 'a'.repeat(64)]

const hostileStreams = [
  `"`,
  `'`,
  '`',
  ';',
  '$',
  '$$',
  '.',
  '*',
  '?',
  '[a-z]',
  '\\',
  'a b',
  'a\r\nFLUSHALL\r\n',
  'a\u0000b',
  `]] redis.call('FLUSHALL') --[[`,
  `" .. redis.call('FLUSHALL') .. "`,
  '__proto__',
  '%s',
  '😀',
  'outbox:{orders}:orders:fence:outbox',
  'MAXLEN',
  '-1',
]
const refusedStreams = ['', '}{', 'a}', '{}']

const refusedSchemas = ['', '$1', '$$', 'x\u0000', 'a'.repeat(64)]

function refusal(attempt: () => unknown): unknown {
  try {
    return attempt()
  } catch (error) {
    return OutboxError.is(error) ? error.code : error
  }
}

describe('a prefix that is more than a name', () => {
  const mysql = drizzleMysql({ client: createPool({ host: 'never.invalid' }) })
  const sqlite = drizzleSqlite({ client: new Database(':memory:') })
  it.each(hostilePrefixes)('is refused before a statement is made of it: %j', async (prefix) => {
    const db = drizzlePg({ client: new pg.Pool({ host: 'never.invalid' }) })
    for (const attempt of [
      () => pgStore.pgOutbox({ db, prefix }),
      () => pgStore.pgInbox({ db, prefix }),
      () => pgStore.setupSql({ prefix }),
      () => pgStore.setupInboxSql({ prefix }),
      () => pgOutboxTables({ prefix }),
      () => pgInboxTable({ prefix }),
      () => sqliteStore.sqliteOutbox({ db: sqlite, prefix }),
      () => sqliteStore.sqliteInbox({ db: sqlite, prefix }),
      () => sqliteStore.setup(sqlite, { prefix }),
      () => sqliteStore.setupSql({ prefix }),
      () => sqliteStore.setupInboxSql({ prefix }),
      () => mysqlStore.mysqlOutbox({ db: mysql, prefix }),
      () => mysqlStore.mysqlInbox({ db: mysql, prefix }),
      () => mysqlStore.setupSql({ prefix }),
      () => mysqlStore.setupInboxSql({ prefix }),
    ]) {
      expect(refusal(attempt), String(attempt)).toBe('invalid-option')
    }
    await expect(pgStore.setup(db, { prefix })).rejects.toMatchObject({ code: 'invalid-option' })
    await expect(mysqlStore.setup(mysql, { prefix })).rejects.toMatchObject({ code: 'invalid-option' })
  })

  it.each(refusedCollectionPrefixes)('nor becomes a collection: %j', async (prefix) => {
    const client = new MongoClient('mongodb://never.invalid')
    const place = { client, db: client.db('shop'), prefix }
    expect(refusal(() => mongoStore.mongoOutbox(place))).toBe('invalid-option')
    expect(refusal(() => mongoStore.mongoInbox(place))).toBe('invalid-option')
    await expect(mongoStore.setup(place.db, { prefix })).rejects.toMatchObject({ code: 'invalid-option' })
    await expect(mongoStore.setupInbox(place.db, { prefix })).rejects.toMatchObject({ code: 'invalid-option' })
  })

  it.each(refusedSchemas)('and a schema that no statement can name: %j', async (schema) => {
    const db = drizzlePg({ client: new pg.Pool({ host: 'never.invalid' }) })
    expect(refusal(() => pgStore.pgOutbox({ db, schema }))).toBe('invalid-option')
    expect(refusal(() => pgStore.setupSql({ schema }))).toBe('invalid-option')
    await expect(pgStore.setup(db, { schema })).rejects.toMatchObject({ code: 'invalid-option' })
  })
})

describeWith('postgres', 'a schema with a hostile name, on PostgreSQL', () => {
  it('is a schema like others', async () => {
    await using database = await freshDatabase()
    const pool = new pg.Pool({ connectionString: database.url, max: 3 })
    try {
      await livesIn(drizzlePg({ client: pool }), async (text) => (await pool.query(text)).rows)
    } finally {
      await pool.end()
    }
  })
})

describe('a schema with a hostile name, on PGlite', () => {
  it('is a schema like others', async () => {
    const client = await PGlite.create()
    await livesIn(drizzlePglite({ client }), async (text) => (await client.query<Record<string, unknown>>(text)).rows)
    await client.close()
  })
})

describe.each(['mysql', 'mariadb'] as const)('a schema with a hostile name, on %s', (server) => {
  describeWith(server, 'of the tests', () => {
    it('is a schema like others', async () => {
      await using database = await createMysqlDatabase(await sharedServer(server))
      const pool = createPool({ uri: database.url, connectionLimit: 3 })
      const db = drizzleMysql({ client: pool })
      await pool.query('create table precious (x int)')
      for (const hostile of hostileMysqlSchemas) {
        // the name of the test's own database makes it one of its own
        const schema = `${hostile}${database.name}`
        await pool.query(`create database ${inBackticks(schema)}`)
        try {
          await mysqlStore.setup(db, { schema })
          await mysqlStore.setupInbox(db, { schema })
          const outbox = mysqlStore.mysqlOutbox({ db, schema })
          const inbox = mysqlStore.mysqlInbox({ db, schema })
          await outbox.check()
          await inbox.check()
          await db.transaction((tx) => outbox.enqueue(tx, { ...anOrder, payload: { schema } }))
          const [entry] = await outbox.fetchUnpublished(10)
          expect(entry?.payload).toBe(JSON.stringify({ schema }))
          expect(await db.transaction((tx) => inbox.once(tx, 'billing', '1', () => undefined))).toBe(true)
          await outbox.markPublished([entry?.id ?? ''])
          expect(await outbox.purge({ olderThanMs: 0, limit: 10 })).toBe(1)
        } finally {
          await pool.query(`drop database ${inBackticks(schema)}`)
        }
      }
      // nothing was made, and nothing dropped, where the connection is
      const [tables] = await pool.query('show tables')
      expect(tables).toHaveLength(1)
      await pool.end()
    })
  })
})

const inBackticks = (name: string): string => `\`${name.replaceAll('`', '``')}\``

describeWith('mongo', 'a prefix of dots and dashes, on MongoDB', () => {
  it('is a prefix like others', async () => {
    const client = await new MongoClient(await sharedMongo()).connect()
    const db = client.db(`outbox_test_${randomBytes(6).toString('hex')}`)
    for (const prefix of oddCollectionPrefixes) {
      await mongoStore.setup(db, { prefix })
      const outbox = mongoStore.mongoOutbox({ client, db, prefix })
      await outbox.check()
      await client.withSession((session) =>
        session.withTransaction(() => outbox.enqueue(session, { ...anOrder, payload: { prefix } })),
      )
      const [entry] = await outbox.fetchUnpublished(10)
      expect(entry?.payload).toBe(JSON.stringify({ prefix }))
    }
    const names = (await db.listCollections().toArray()).map(({ name }) => name)
    expect(names.every((name) => oddCollectionPrefixes.some((prefix) => name.startsWith(prefix)))).toBe(true)
    await db.dropDatabase()
    await client.close()
  })
})

describeWith({ own: 'redis' }, 'a stream with a hostile name, on Redis', () => {
  it('is a stream like others, with its keys beside it', async () => {
    await using server = await startRedis()
    const client = new Redis(server.url)
    await client.set('precious', '1')
    const ids: string[] = []
    for (const stream of hostileStreams) {
      await using victim = await openVictim('sqlite')
      await victim.application.commit(anOrder)
      const publisher = redisPublisher({ client, stream })
      await publisher.check?.({ retryHorizonMs: 1 })
      await publisher.probe?.({})
      const { published } = await createRelay({ store: victim.application.outbox, publisher }).tick()
      expect(published).toBe(1)
      const [item] = await client.xrange(stream, '-', '+')
      if (!item) throw new Error(`nothing is in ${JSON.stringify(stream)}`)
      ids.push(decodeRedisEntry(item).id)
    }
    expect(new Set(ids).size).toBe(hostileStreams.length)
    expect(await client.get('precious')).toBe('1')
    const others = (await client.keys('*')).filter((key) => !hostileStreams.includes(key) && key !== 'precious')
    expect(others.every((key) => key.startsWith('outbox:'))).toBe(true)
    client.disconnect()
  })

  it.each(refusedStreams)('but not where its keys could not stand together: %j', (stream) => {
    const client = new Redis({ lazyConnect: true })
    expect(refusal(() => redisPublisher({ client, stream }))).toBe('invalid-option')
  })
})

const anOrder = { type: 'order.placed', aggregateId: '1', payload: {} }

interface TestDatabase extends pgStore.PgDatabase {
  transaction<T>(work: (tx: pgStore.PgTransaction) => Promise<T>): Promise<T>
}

async function livesIn(
  db: TestDatabase,
  query: (text: string) => Promise<readonly Readonly<Record<string, unknown>>[]>,
): Promise<void> {
  await query('create table precious (x int)')
  for (const schema of hostileSchemas) {
    const place = { schema }
    await pgStore.setup(db, place)
    await pgStore.setupInbox(db, place)
    const outbox = pgStore.pgOutbox({ db, ...place, listen: false })
    const inbox = pgStore.pgInbox({ db, ...place })
    await outbox.check()
    await inbox.check()
    await db.transaction((tx) => outbox.enqueue(tx, { type: 'order.placed', aggregateId: '1', payload: { schema } }))
    const [entry] = await outbox.fetchUnpublished(10)
    expect(entry).toMatchObject({ payload: JSON.stringify({ schema }), sequence: 1 })
    expect(await db.transaction((tx) => inbox.once(tx, 'billing', '1', () => undefined))).toBe(true)
    await outbox.markPublished([entry?.id ?? ''])
    expect(await outbox.stats()).toMatchObject({ pending: 0 })
    expect(await outbox.purge({ olderThanMs: 0, limit: 10 })).toBe(1)
  }
  expect(await query('select 1 from precious')).toEqual([])
  const schemas = await query(`select nspname from pg_namespace where nspname !~ '^pg_' order by nspname collate "C"`)
  expect(schemas.map(({ nspname }) => nspname)).toEqual(['information_schema', 'public', ...hostileSchemas].toSorted())
}
