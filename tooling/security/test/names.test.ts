import { PGlite } from '@electric-sql/pglite'
import { OutboxError } from '@outbox/core'
import * as pgStore from '@outbox/drizzle/pg'
import { inboxTable as pgInboxTable, outboxTables as pgOutboxTables } from '@outbox/drizzle/pg/schema'
import * as sqliteStore from '@outbox/drizzle/sqlite'
import { describeWith, freshDatabase } from '@outbox/services'
import Database from 'better-sqlite3'
import { drizzle as drizzleSqlite } from 'drizzle-orm/better-sqlite3'
import { drizzle as drizzlePg } from 'drizzle-orm/node-postgres'
import { drizzle as drizzlePglite } from 'drizzle-orm/pglite'
import pg from 'pg'
import { describe, expect, it } from 'vitest'

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
const refusedSchemas = ['', '$1', '$$', 'x\u0000', 'a'.repeat(64)]

function refusal(attempt: () => unknown): unknown {
  try {
    return attempt()
  } catch (error) {
    return OutboxError.is(error) ? error.code : error
  }
}

describe('a prefix that is more than a name', () => {
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
    ]) {
      expect(refusal(attempt), String(attempt)).toBe('invalid-option')
    }
    await expect(pgStore.setup(db, { prefix })).rejects.toMatchObject({ code: 'invalid-option' })
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
