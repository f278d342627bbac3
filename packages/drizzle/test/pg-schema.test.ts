import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { event, OutboxError } from '@outbox/core'
import { pgOutbox, setup, setupSql } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { layout, layoutVersion } from '../src/pg/layout.ts'
import { tableKinds } from '../src/pg/names.ts'
import { ownDatabase } from './pg-databases.ts'

const placed = event('order.placed', { aggregateId: '1', payload: {} })
const ownPlace = { schema: 'messaging', prefix: 'mail_' }

describeWith('postgres', 'the tables', () => {
  let database: TestDatabase
  let pool: Pool
  let db: ReturnType<typeof drizzle<Record<string, never>, Pool>>
  beforeEach(async () => {
    database = await ownDatabase()
    pool = new Pool({ connectionString: database.url })
    db = drizzle({ client: pool })
  })
  afterEach(async () => {
    await pool.end()
    await database[Symbol.asyncDispose]()
  })

  test('setup makes what check asks for, and twice, or several times at once, is as good as once', async () => {
    await Promise.all([setup(db), setup(db), setup(db)])
    const outbox = pgOutbox({ db })
    const shape = await shapeOf(pool)
    await db.transaction((tx) => outbox.enqueue(tx, placed))
    await setup(db)
    await outbox.check()
    expect(await shapeOf(pool)).toEqual(shape)
    expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
  })

  test('the text of setupSql makes the same tables, whether it runs once or twice', async () => {
    await pool.query('create schema messaging')
    await pool.query(setupSql(ownPlace))
    await pool.query(setupSql(ownPlace))
    const byText = await shapeOf(pool)
    await pool.query('drop schema messaging cascade')
    await setup(db, ownPlace)
    expect(byText).toEqual(await shapeOf(pool))
    expect(byText.length).toBeGreaterThan(50)
  })

  test('what check expects is what setup makes: every column, every index', async () => {
    await setup(db)
    for (const kind of tableKinds) {
      const name = `outbox_${kind}`
      const columns = await pool.query(
        'select column_name as name from information_schema.columns where table_name = $1',
        [name],
      )
      expect(namesIn(columns.rows)).toEqual(layout[kind].columns.toSorted())
      const indexes = await pool.query('select indexname as name from pg_indexes where tablename = $1', [name])
      const expected = layout[kind].indexes.map((index) => `outbox_${index}`)
      expect(namesIn(indexes.rows)).toEqual(expected.toSorted())
    }
  })

  test('the migration that drizzle-kit makes of the exported tables passes check, and makes what setup makes', async () => {
    await pool.query(await migrationOf("export * from '@outbox/drizzle/pg/schema'\n"))
    const outbox = pgOutbox({ db })
    await outbox.check()
    await db.transaction((tx) => outbox.enqueue(tx, placed))
    expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
    const migrated = await shapeOf(pool)
    await pool.query('drop schema public cascade; create schema public')
    await setup(db)
    expect(migrated).toEqual(await shapeOf(pool))
  })

  test('a schema and a prefix of one’s own go through drizzle-kit as well', async () => {
    const migration = await migrationOf(`
import { outboxTables } from '@outbox/drizzle/pg/schema'
import { pgSchema } from 'drizzle-orm/pg-core'
export const messaging = pgSchema('messaging')
export const { entries, sequences, aggregates, relays, leases, meta } = outboxTables(${JSON.stringify(ownPlace)})
`)
    await pool.query(migration)
    const outbox = pgOutbox({ db, ...ownPlace })
    await outbox.check()
    await db.transaction((tx) => outbox.enqueue(tx, placed))
    expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
    const migrated = await shapeOf(pool)
    await pool.query('drop schema messaging cascade')
    await setup(db, ownPlace)
    expect(migrated).toEqual(await shapeOf(pool))
  })

  test('two outboxes with prefixes of their own share a database and nothing else', async () => {
    const [first, second] = [{ prefix: 'first_' }, { prefix: 'second_' }].map((place) => pgOutbox({ db, ...place }))
    await setup(db, { prefix: 'first_' })
    await setup(db, { prefix: 'second_' })
    await db.transaction((tx) => first?.enqueue(tx, placed) ?? Promise.reject(new Error('no outbox')))
    expect(await first?.fetchUnpublished(10)).toHaveLength(1)
    expect(await second?.fetchUnpublished(10)).toEqual([])
  })

  test('a database with the casing option works: no column is left to be renamed', async () => {
    const cased = drizzle({ client: pool, casing: 'snake_case' })
    await setup(cased)
    const outbox = pgOutbox({ db: cased })
    await cased.transaction((tx) => outbox.enqueue(tx, placed))
    expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
  })

  test('check names everything of an empty database, and says what to do', async () => {
    const error = await setupRequired(pgOutbox({ db }).check())
    expect(error.details.missing).toEqual(tableKinds.map((kind) => `table "outbox_${kind}"`))
    expect(error.message).toContain('drizzle-kit')
    expect(error.message).toContain('setup(db)')
  })

  test('check names a missing table, column and index, and an unfinished index', async () => {
    await setup(db)
    await pool.query(`
      drop table outbox_relays;
      alter table outbox_aggregates drop column blocked_by;
      drop index outbox_entries_order;
      update pg_index set indisvalid = false where indexrelid = 'outbox_entries_scan'::regclass`)
    const error = await setupRequired(pgOutbox({ db }).check())
    expect(error.details.missing.toSorted()).toEqual([
      'column "outbox_aggregates".blocked_by',
      'index outbox_entries_order on "outbox_entries"',
      'index outbox_entries_scan on "outbox_entries"',
      'table "outbox_relays"',
    ])
  })

  test('check names what the role may not do, and passes with the least privileges of the README', async () => {
    await setup(db)
    const role = `relay_${crypto.randomUUID().replaceAll('-', '')}`
    await pool.query(`create role ${role} login; grant usage on schema public to ${role}`)
    const url = new URL(database.url)
    url.username = role
    const relayPool = new Pool({ connectionString: url.href })
    const outbox = pgOutbox({ db: drizzle({ client: relayPool }), listen: false })
    try {
      const error = await setupRequired(outbox.check())
      expect(error.details.missing).toContain('privilege SELECT on "outbox_entries"')
      expect(error.details.missing).toContain('privilege DELETE on "outbox_aggregates"')
      await pool.query(`
        grant select, update on outbox_entries to ${role};
        grant select, insert, update, delete on outbox_aggregates, outbox_relays to ${role};
        grant select, insert, update on outbox_leases to ${role};
        grant select, insert on outbox_meta to ${role}`)
      await outbox.check()
      await db.transaction((tx) => pgOutbox({ db }).enqueue(tx, placed))
      await outbox.join({ holder: 'h' })
      const { leases: claims } = await outbox.poll({ holder: 'h' })
      const leases = await outbox.acquire({ holder: 'h', claims, evict: [] })
      const due = await outbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: 1000 })
      expect(due).toHaveLength(1)
      const settlements = due.map((entry) => ({ entry, outcome: 'published' }) as const)
      expect(await outbox.settle({ leases, settlements })).toEqual({ lost: [] })
      await outbox.release({ holder: 'h', leases, leave: true })
      // deleting old entries takes one privilege more
      await setupRequired(outbox.purge({ olderThanMs: 0, limit: 10 }))
      await pool.query(`grant delete on outbox_entries to ${role}`)
      expect(await outbox.purge({ olderThanMs: 0, limit: 10 })).toBe(1)
    } finally {
      await relayPool.end()
      await pool.query(`drop owned by ${role}; drop role ${role}`)
    }
  })

  test('a producer needs no more than the README says', async () => {
    await setup(db)
    const role = `producer_${crypto.randomUUID().replaceAll('-', '')}`
    await pool.query(`
      create role ${role} login;
      grant usage on schema public to ${role};
      grant select, insert on outbox_entries, outbox_meta to ${role};
      grant select, insert, update on outbox_sequences to ${role}`)
    const url = new URL(database.url)
    url.username = role
    const producerPool = new Pool({ connectionString: url.href })
    const producerDb = drizzle({ client: producerPool })
    const outbox = pgOutbox({ db: producerDb })
    try {
      await producerDb.transaction((tx) => outbox.enqueue(tx, [placed, placed]))
      expect(await outbox.fetchUnpublished(10)).toHaveLength(2)
    } finally {
      await producerPool.end()
      await pool.query(`drop owned by ${role}; drop role ${role}`)
    }
  })

  test('check tells tables that are older or newer than the package', async () => {
    await setup(db)
    const outbox = pgOutbox({ db })
    await outbox.join({ holder: 'h' })
    await outbox.check()
    await pool.query(`update outbox_meta set value = '0' where key = 'version'`)
    expect((await setupRequired(outbox.check())).details.missing).toEqual([
      `version ${layoutVersion} of the tables; these are version 0`,
    ])
    await pool.query(`update outbox_meta set value = '99' where key = 'version'`)
    expect((await setupRequired(outbox.check())).details.missing).toEqual([
      `a newer @outbox/drizzle: the tables are version 99, this package knows ${layoutVersion}`,
    ])
  })

  test('without the tables, enqueue says that set-up is missing', async () => {
    const outbox = pgOutbox({ db })
    const error = await setupRequired(db.transaction((tx) => outbox.enqueue(tx, placed)))
    expect(error.message).toContain('outbox_meta')
    expect(error.message).toContain('setup(db)')
  })
})

function namesIn(rows: readonly { readonly name: string }[]): readonly string[] {
  return rows.map(({ name }) => name).toSorted()
}

async function setupRequired(attempt: Promise<unknown>): Promise<OutboxError<'setup-required'>> {
  const error: unknown = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (OutboxError.is(error, 'setup-required')) return error
  throw new Error('Expected an OutboxError setup-required', { cause: error })
}

/** Everything that the catalog says of the tables, names without their prefix; sorted lines. */
async function shapeOf(pool: Pool): Promise<readonly string[]> {
  const { rows } = await pool.query<{ line: string }>(`
    select format('%s.%s %s null:%s default:%s identity:%s generated:%s', c.relname, a.attname,
      format_type(a.atttypid, a.atttypmod), not a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
      a.attidentity, a.attgenerated) as line
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    union all
    select pg_get_indexdef(i.indexrelid)
    from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
    where n.nspname not in ('pg_catalog', 'pg_toast')
    union all
    select format('%s %s', conname, pg_get_constraintdef(x.oid))
    from pg_constraint x join pg_namespace n on n.oid = x.connamespace
    where n.nspname not in ('pg_catalog', 'information_schema')`)
  return rows.map(({ line }) => line).toSorted()
}

/** Runs drizzle-kit on a schema file as a user would. @returns the SQL of the migration that it wrote */
async function migrationOf(schema: string): Promise<string> {
  const packageFolder = fileURLToPath(new URL('..', import.meta.url))
  // inside the package, so that `@outbox/drizzle` and drizzle-orm are found
  const folder = await mkdtemp(join(packageFolder, 'node_modules', '.kit-'))
  try {
    const file = join(folder, 'schema.ts')
    await writeFile(file, schema.replaceAll('@outbox/drizzle/pg/schema', join(packageFolder, 'src/pg/schema.ts')))
    const kit = join(packageFolder, 'node_modules/.bin/drizzle-kit')
    const flags = ['generate', '--dialect', 'postgresql', '--schema', file, '--out', join(folder, 'out')]
    const env = { ...process.env, NODE_OPTIONS: '--conditions=@outbox/source' }
    await promisify(execFile)(kit, flags, { cwd: folder, env })
    const out = join(folder, 'out')
    const names = (await readdir(out)).filter((name) => name.endsWith('.sql'))
    const texts = await Promise.all(names.map((name) => readFile(join(out, name), 'utf8')))
    return texts.join('\n').replaceAll('--> statement-breakpoint', '')
  } finally {
    await rm(folder, { recursive: true })
  }
}
