import { event } from '@outbox/core'
import { pgInbox, pgOutbox, setup, setupInbox, setupSql } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { inboxLayout, layout, layoutVersion } from '../src/pg/layout.ts'
import { tableKinds } from '../src/pg/names.ts'
import { migrationOf, setupRequired, shapeOf } from './pg-catalog.ts'
import { openNodePostgres, ownDatabase } from './pg-databases.ts'
import { createRole } from './pg-roles.ts'

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
    await setupInbox(db)
    const layouts = { ...layout, inbox: inboxLayout }
    for (const kind of [...tableKinds, 'inbox'] as const) {
      const name = `outbox_${kind}`
      const columns = await pool.query(
        'select column_name as name from information_schema.columns where table_name = $1',
        [name],
      )
      expect(namesIn(columns.rows)).toEqual(layouts[kind].columns.toSorted())
      const indexes = await pool.query('select indexname as name from pg_indexes where tablename = $1', [name])
      const expected = layouts[kind].indexes.map((index) => `outbox_${index}`)
      expect(namesIn(indexes.rows)).toEqual(expected.toSorted())
    }
  })

  test('the migration that drizzle-kit makes of the exported tables passes check, and makes what setup makes', async () => {
    await pool.query(await migrationOf("export * from '@outbox/drizzle/pg/schema'\n"))
    const outbox = pgOutbox({ db })
    await outbox.check()
    await pgInbox({ db }).check()
    await db.transaction((tx) => outbox.enqueue(tx, placed))
    expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
    const migrated = await shapeOf(pool)
    await pool.query('drop schema public cascade; create schema public')
    await setup(db)
    await setupInbox(db)
    expect(migrated).toEqual(await shapeOf(pool))
  })

  test('a schema and a prefix of one’s own go through drizzle-kit as well', async () => {
    const migration = await migrationOf(`
import { inboxTable, outboxTables } from '@outbox/drizzle/pg/schema'
import { pgSchema } from 'drizzle-orm/pg-core'
export const messaging = pgSchema('messaging')
export const { entries, sequences, aggregates, relays, leases, meta } = outboxTables(${JSON.stringify(ownPlace)})
export const inbox = inboxTable(${JSON.stringify(ownPlace)})
`)
    await pool.query(migration)
    const outbox = pgOutbox({ db, ...ownPlace })
    await outbox.check()
    await db.transaction((tx) => outbox.enqueue(tx, placed))
    expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
    const migrated = await shapeOf(pool)
    await pool.query('drop schema messaging cascade')
    await setup(db, ownPlace)
    await setupInbox(db, ownPlace)
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

  test('a table without a column, as an older version made it, is told, and setup does not pretend to mend it', async () => {
    await setup(db)
    await pool.query('alter table outbox_entries drop column settled_by')
    const missing = ['column "outbox_entries".settled_by']
    expect((await setupRequired(pgOutbox({ db }).check())).details.missing).toEqual(missing)
    const error = await setupRequired(setup(db))
    expect(error.details.missing).toEqual(missing)
    expect(error.message).toContain('migrate with drizzle-kit, or add by hand')
  })

  test('a table of somebody else with a name of the outbox: setup and check say so, and setup makes nothing', async () => {
    await pool.query('create table outbox_meta (id int, body text)')
    const shape = await shapeOf(pool)
    for (const attempt of [() => setup(db), () => setup(db, { engine: 'log' }), () => pgOutbox({ db }).check()]) {
      const error = await setupRequired(attempt())
      expect(error.message).toMatch(/^"outbox_meta" is there, and not of the outbox, .*older version/)
      expect(error.message).toContain("another prefix or schema, everywhere the same, as in { prefix: 'events_' }")
      expect(error.details.missing).toContain('column "outbox_meta".key')
      expect(error.details.missing).toContain('table "outbox_entries"')
    }
    expect(await shapeOf(pool)).toEqual(shape)
    await setupInbox(db)
    await pgInbox({ db }).check() // an inbox does without that table
    await pool.query('create table outbox_entries (id int, body text)')
    for (const attempt of [() => setup(db), () => pgOutbox({ db }).check()]) {
      expect((await setupRequired(attempt())).message).toMatch(/^"outbox_entries", "outbox_meta" are there/)
    }
    for (const place of [{ prefix: 'events_' }, { schema: 'messaging' }]) {
      await setup(db, place)
      await pgOutbox({ db, ...place }).check()
    }
  })

  test('a table of somebody else further down the search_path is in nobody’s way', async () => {
    await pool.query('create table outbox_entries (id int, body text); create schema ahead')
    const own = new Pool({ connectionString: database.url, options: '-c search_path=ahead,public' })
    const ahead = drizzle({ client: own })
    expect((await setupRequired(pgOutbox({ db: ahead }).check())).message).toContain('"outbox_entries" is there')
    await setup(ahead)
    await pgOutbox({ db: ahead }).check()
    await own.end()
  })

  test('tables of an older or a newer version are refused by check and by setup, which say what to run', async () => {
    await setup(db)
    const outbox = pgOutbox({ db })
    await outbox.join({ holder: 'h' })
    await outbox.check()
    for (const [written, missing, remedy] of [
      ['0', `version ${layoutVersion} of the outbox's tables; these are version 0`, 'Run the migration to version 1'],
      [
        '99',
        `a newer @outbox/drizzle: the outbox's tables are version 99, this package knows ${layoutVersion}`,
        'Update @outbox/drizzle here',
      ],
    ] as const) {
      await pool.query(`update outbox_meta set value = $1 where key = 'version'`, [written])
      for (const attempt of [() => outbox.check(), () => setup(db)]) {
        const error = await setupRequired(attempt())
        expect(error.details.missing).toEqual([missing])
        expect(error.message).toContain(remedy)
      }
    }
  })

  test('setup waits for no transaction that has written, and holds none up, where nothing is missing', async () => {
    await setup(db)
    const outbox = pgOutbox({ db, notify: 'off' })
    await db.transaction((tx) => outbox.enqueue(tx, placed)) // how its type is numbered is known from here on
    await db.transaction(async (tx) => {
      await outbox.enqueue(tx, placed)
      await setup(db) // would hang here, as `create index if not exists` does
      await db.transaction((other) => outbox.enqueue(other, event('order.placed', { aggregateId: '2', payload: {} })))
    })
  })

  test('a role that may create in a schema, and no schemas, sets up there; one that may not is told', async () => {
    await using role = await createRole(database, 'relay')
    await pool.query(`create schema "it's \\ odd"; grant usage on schema "it's \\ odd" to ${role.name}`)
    await using own = openNodePostgres(role.url)
    const place = { schema: "it's \\ odd" }
    const error = await setupRequired(setup(own.db, place))
    expect(error.message).toContain("permission denied for schema it's \\ odd")
    await pool.query(`grant create on schema "it's \\ odd" to ${role.name}`)
    await setup(own.db, place)
    await setupInbox(own.db, place)
    await pgOutbox({ db: own.db, ...place }).check()
    await pgInbox({ db: own.db, ...place }).check()
  })

  test('of tables that stand in a schema which the session does not look into, check says where they are', async () => {
    await setup(db, { schema: 'elsewhere' })
    const { details } = await setupRequired(pgOutbox({ db }).check())
    expect(details.missing[0]).toBe(
      'table "outbox_entries", which is in the schema elsewhere: grant usage on that, and name it by the option schema or by search_path',
    )
  })

  test('what to run is told with the place that was given, and the outboxes of others are left out of it', async () => {
    await setup(db)
    await setup(db, { schema: 'tenant_a' })
    const place = { schema: "tenant's", prefix: 'mail_' }
    const outbox = pgOutbox({ db, ...place })
    const call = "setup(db, { schema: 'tenant\\'s', prefix: 'mail_' })"
    const checked = await setupRequired(outbox.check())
    expect(checked.message).toContain(call)
    expect(checked.message).toContain("outboxTables({ schema: 'tenant\\'s', prefix: 'mail_' })")
    expect(checked.details.missing).toEqual(tableKinds.map((kind) => `table "tenant's"."mail_${kind}"`))
    expect((await setupRequired(pgOutbox({ db, schema: 'tenant_b' }).check())).details.missing).toEqual(
      tableKinds.map((kind) => `table "tenant_b"."outbox_${kind}"`),
    )
    const enqueued = await setupRequired(db.transaction((tx) => outbox.enqueue(tx, placed)))
    expect(enqueued.message).toContain(call)
    const log = await setupRequired(pgOutbox({ db, engine: 'log', schema: 'tenant_a' }).check())
    expect(log.message).toContain("setup(db, { schema: 'tenant_a', engine: 'log' })")
    const inbox = await setupRequired(pgInbox({ db, schema: 'tenant_a' }).check())
    expect(inbox.message).toContain("inboxTable({ schema: 'tenant_a' })")
    expect(inbox.message).toContain("setupInbox(db, { schema: 'tenant_a' })")
  })

  test('without the tables, enqueue says that set-up is missing', async () => {
    const outbox = pgOutbox({ db })
    const error = await setupRequired(db.transaction((tx) => outbox.enqueue(tx, placed)))
    expect(error.message).toContain('relation "outbox_sequences" does not exist')
    expect(error.message).toContain('setup(db)')
  })
})

function namesIn(rows: readonly { readonly name: string }[]): readonly string[] {
  return rows.map(({ name }) => name).toSorted()
}
