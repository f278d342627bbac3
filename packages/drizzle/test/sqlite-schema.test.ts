import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { setup, setupInbox, setupInboxSql, setupSql, sqliteInbox, sqliteOutbox } from '../src/sqlite/index.ts'
import { newFile, type TestDatabase, type TestFile } from './sqlite-files.ts'

const packageFolder = fileURLToPath(new URL('../', import.meta.url))
const placed = { type: 'order.placed', aggregateId: '1', payload: {} }

let file: TestFile
beforeEach(() => {
  file = newFile()
})
afterEach(() => file.remove())

test('setup makes what check asks for, and twice is as good as once', async () => {
  const db = file.connect()
  setup(db)
  const shape = shapeOf(db)
  const outbox = sqliteOutbox({ db })
  db.transaction((tx) => outbox.enqueue(tx, placed))
  setup(db)
  await outbox.check()
  expect(shapeOf(db)).toEqual(shape)
  expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
})

test('setup that finds everything waits for no writer', async () => {
  setup(file.connect())
  const writer = file.connect()
  writer.run('BEGIN IMMEDIATE')
  setup(file.connect({ timeout: 0 }))
  writer.run('COMMIT')
})

test('setup becomes part of a transaction that is open', async () => {
  const db = file.connect()
  db.run('BEGIN')
  setup(db)
  db.run('ROLLBACK')
  await expect(sqliteOutbox({ db }).check()).rejects.toMatchObject({ code: 'setup-required' })
})

test('the text of setupSql makes the same tables', () => {
  const [bySetup, byText] = [file.connect(), newFile()]
  setup(bySetup, { prefix: 'mail_' })
  setupInbox(bySetup, { prefix: 'mail_' })
  const db = byText.connect()
  db.$client.exec(setupSql({ prefix: 'mail_' }))
  db.$client.exec(setupInboxSql({ prefix: 'mail_' }))
  expect(shapeOf(db)).toEqual(shapeOf(bySetup))
  expect(shapeOf(db)).not.toEqual([])
  byText.remove()
})

test.each([
  ['outbox_', 'sqlite'],
  ['mail_', 'turso'],
])(
  'the migration that drizzle-kit makes of the exported tables passes check, and makes what setup makes (%s, %s)',
  async (prefix, dialect) => {
    const bySetup = newFile()
    const db = file.connect()
    db.$client.exec(migrationOf(prefix, dialect, dirname(file.path)))
    await sqliteInbox({ db, prefix }).check()
    const outbox = sqliteOutbox({ db, prefix })
    await outbox.check()
    db.transaction((tx) => outbox.enqueue(tx, placed))
    expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
    setup(bySetup.connect(), { prefix })
    setupInbox(bySetup.connect(), { prefix })
    expect(shapeOf(db)).toEqual(shapeOf(bySetup.connect()))
    bySetup.remove()
    file.disconnect()
    await sqliteOutbox({ db: file.connectLibsql(), prefix }).check()
    await sqliteInbox({ db: file.connectLibsql(), prefix }).check()
  },
)

test('on libsql setup makes the same, also when several clients do it at once', async () => {
  const bySetup = newFile()
  setup(bySetup.connect())
  setupInbox(bySetup.connect())
  const clients = [file.connectLibsql(), file.connectLibsql(), file.connectLibsql()]
  await Promise.all(clients.flatMap((db) => [setup(db), setupInbox(db), setup(db)]))
  for (const db of clients) {
    await sqliteOutbox({ db }).check()
    await sqliteInbox({ db }).check()
  }
  file.disconnect()
  expect(shapeOf(file.connect())).toEqual(shapeOf(bySetup.connect()))
  bySetup.remove()
})

test('an inbox needs no outbox beside it, nor an outbox an inbox', async () => {
  const db = file.connect()
  setupInbox(db, { prefix: 'mail_' })
  await sqliteInbox({ db, prefix: 'mail_' }).check()
  expect(shapeOf(db)).toMatchObject([{ name: 'mail_inbox' }])
  await expect(sqliteOutbox({ db, prefix: 'mail_' }).check()).rejects.toMatchObject({ code: 'setup-required' })
  setup(db)
  await sqliteOutbox({ db }).check()
  await expect(sqliteInbox({ db }).check()).rejects.toMatchObject({
    message:
      "The inbox is not set up in this SQLite database. Missing: table outbox_inbox. Call setupInbox(db) from '@outbox/drizzle/sqlite' once, or add its tables to your drizzle schema and run drizzle-kit's migration.",
  })
})

test('setup over older tables makes nothing up: it names what a migration has to add', async () => {
  const older = setupSql().replace('  settled_by TEXT,\n', '')
  file.connect().$client.exec(older)
  const missing = { code: 'setup-required', details: { missing: ['column outbox_settled.settled_by'] } }
  expect(thrownBy(() => setup(file.connect()))).toMatchObject(missing)
  file.disconnect()
  await expect(setup(file.connectLibsql())).rejects.toMatchObject(missing)
  await expect(sqliteOutbox({ db: file.connectLibsql() }).check()).rejects.toMatchObject(missing)
})

test('a table of somebody else with a name of the outbox: setup and check say so, and setup makes nothing', async () => {
  file.connect().run('CREATE TABLE outbox_entries (id INTEGER PRIMARY KEY, body TEXT)')
  const shape = shapeOf(file.connect())
  const told = {
    code: 'setup-required',
    details: { missing: expect.arrayContaining(['column outbox_entries.aggregate_type', 'table outbox_meta']) },
    message: expect.stringMatching(
      /^outbox_entries is there, and not of the outbox, .*give the outbox another prefix, .*prefix: 'events_'/,
    ),
  }
  expect(thrownBy(() => setup(file.connect()))).toMatchObject(told)
  await expect(sqliteOutbox({ db: file.connect() }).check()).rejects.toMatchObject(told)
  file.disconnect()
  await expect(setup(file.connectLibsql())).rejects.toMatchObject(told)
  await expect(sqliteOutbox({ db: file.connectLibsql() }).check()).rejects.toMatchObject(told)
  file.disconnect()
  expect(shapeOf(file.connect())).toEqual(shape)
  setup(file.connect(), { prefix: 'events_' })
  await sqliteOutbox({ db: file.connect(), prefix: 'events_' }).check()
})

test('an inbox does without the table meta, and is not misled by one of somebody else', async () => {
  const db = file.connect()
  db.run('CREATE TABLE outbox_meta (id INTEGER PRIMARY KEY, body TEXT)')
  setupInbox(db)
  await sqliteInbox({ db }).check()
})

test('check names every table, column and index that is missing, and says what to run', async () => {
  const db = file.connect()
  const outbox = sqliteOutbox({ db })
  await expect(outbox.check()).rejects.toMatchObject({
    code: 'setup-required',
    message:
      "The outbox is not set up in this SQLite database. Missing: table outbox_entries, table outbox_pending, table outbox_settled, table outbox_sequences, table outbox_aggregates, table outbox_relays, table outbox_leases, table outbox_meta. Call setup(db) from '@outbox/drizzle/sqlite' once, or add its tables to your drizzle schema and run drizzle-kit's migration.",
  })
  setup(db)
  db.$client.exec(`DROP INDEX outbox_pending_scan; DROP INDEX outbox_aggregates_due;
    ALTER TABLE outbox_aggregates DROP COLUMN blocked_by; DROP TABLE outbox_meta`)
  await expect(outbox.check()).rejects.toMatchObject({
    details: {
      missing: [
        'index outbox_pending_scan',
        'column outbox_aggregates.blocked_by',
        'index outbox_aggregates_due',
        'table outbox_meta',
      ],
    },
  })
})

test('what is missing under a prefix is made by the call that check names', async () => {
  const db = file.connect()
  const outbox = sqliteOutbox({ db, prefix: 'mail_' })
  const inbox = sqliteInbox({ db, prefix: 'mail_' })
  await expect(outbox.check()).rejects.toThrow("Call setup(db, { prefix: 'mail_' }) from")
  await expect(inbox.check()).rejects.toThrow("Call setupInbox(db, { prefix: 'mail_' }) from")
  expect(() => db.transaction((tx) => outbox.enqueue(tx, placed))).toThrow("Call setup(db, { prefix: 'mail_' }) from")
  const once = () => db.transaction((tx) => inbox.once(tx, 'consumer', 'message', () => undefined))
  expect(once).toThrow("Call setupInbox(db, { prefix: 'mail_' }) from")
})

test('check refuses tables of another version, and says which side is behind', async () => {
  const db = file.connect()
  setup(db)
  setupInbox(db)
  const outbox = sqliteOutbox({ db })
  await outbox.join({ holder: 'relay' })
  await outbox.check()
  for (const [version, missing, remedy] of [
    ['0', 'version 1 of the tables (these are version 0)', 'Run the migration to version 1'],
    ['2', 'a newer @outbox/drizzle (the tables are version 2, this package knows 1)', 'Update @outbox/drizzle here'],
  ] as const) {
    db.run(`INSERT INTO outbox_meta VALUES ('version', '${version}'), ('inbox-version', '${version}')
      ON CONFLICT DO UPDATE SET value = excluded.value`)
    const message = expect.stringContaining(remedy)
    const error = { code: 'setup-required', details: { missing: [missing] }, message }
    await expect(outbox.check()).rejects.toMatchObject(error)
    await expect(sqliteInbox({ db }).check()).rejects.toMatchObject(error)
    expect(thrownBy(() => setup(db))).toMatchObject(error)
  }
})

test('check says so when the connection may not write', async () => {
  setup(file.connect())
  const readOnly = drizzle({ client: new Database(file.path, { readonly: true }) })
  await expect(sqliteOutbox({ db: readOnly }).check()).rejects.toMatchObject({
    code: 'setup-required',
    details: { missing: ['the right to write'] },
    message: expect.stringContaining('Open the file to be written'),
  })
  readOnly.$client.close()
})

test('without tables enqueue, once and the calls of a relay say what is missing', async () => {
  const db = file.connect()
  const outbox = sqliteOutbox({ db })
  expect(() => db.transaction((tx) => outbox.enqueue(tx, placed))).toThrow('Missing: table outbox_meta. Call setup(db)')
  await expect(outbox.poll({ holder: 'h' })).rejects.toMatchObject({
    code: 'setup-required',
    details: { missing: ['table outbox_relays'] },
  })
  const once = (): unknown => db.transaction((tx) => sqliteInbox({ db }).once(tx, 'billing', 'm-1', () => {}))
  expect(once).toThrow('Missing: table outbox_inbox. Call setupInbox(db)')

  file.disconnect()
  const libsql = file.connectLibsql()
  const error = { code: 'setup-required', details: { missing: ['table outbox_meta'] } }
  const enqueued = libsql.transaction((tx) => sqliteOutbox({ db: libsql }).enqueue(tx, placed))
  await expect(enqueued).rejects.toMatchObject(error)
  await expect(sqliteOutbox({ db: libsql }).poll({ holder: 'h' })).rejects.toMatchObject(error)
})

test("an outbox in a file that was attached is another one: check and setup look at the connection's own", async () => {
  const attached = newFile()
  setup(attached.connect())
  const db = file.connect()
  db.run(`ATTACH '${attached.path}' AS other`)
  const outbox = sqliteOutbox({ db })
  await expect(outbox.check()).rejects.toMatchObject({
    code: 'setup-required',
    details: { missing: expect.arrayContaining(['table outbox_entries', 'table outbox_meta']) },
  })
  setup(db)
  await outbox.check()
  db.transaction((tx) => outbox.enqueue(tx, placed))
  const count = (schema: string) => db.all(`SELECT count(*) AS entries FROM ${schema}.outbox_entries`)
  expect([count('main'), count('other')]).toEqual([[{ entries: 1 }], [{ entries: 0 }]])
  attached.remove()
})

test('check and setup name a temporary table that hides one of the outbox', async () => {
  const db = file.connect()
  setup(db)
  db.run('CREATE TEMP TABLE outbox_pending AS SELECT * FROM outbox_pending')
  const hidden = {
    code: 'setup-required',
    details: { missing: ['table outbox_pending (a temporary one of that name hides it)'] },
    message: expect.stringContaining('Drop what is temporary'),
  }
  await expect(sqliteOutbox({ db }).check()).rejects.toMatchObject(hidden)
  expect(thrownBy(() => setup(db))).toMatchObject(hidden)
})

test('an index that was dropped is named by the call that misses it', async () => {
  const db = file.connect()
  setup(db)
  db.run('DROP INDEX outbox_pending_scan')
  await expect(sqliteOutbox({ db }).stats()).rejects.toMatchObject({
    code: 'setup-required',
    details: { missing: ['index outbox_pending_scan'] },
  })
})

test('two outboxes under different prefixes share a file and nothing else', async () => {
  const db = file.connect()
  for (const prefix of ['mail_', 'audit_']) setup(db, { prefix })
  const mail = sqliteOutbox({ db, prefix: 'mail_' })
  const audit = sqliteOutbox({ db, prefix: 'audit_' })
  db.transaction((tx) => mail.enqueue(tx, placed))
  expect((await mail.stats()).pending).toBe(1)
  expect((await audit.stats()).pending).toBe(0)
})

test('options that cannot work are refused with what to write instead', () => {
  const db = file.connect()
  expect(() => sqliteOutbox({ db, prefix: 'Mail-' })).toThrow(
    "The option prefix must be up to 32 lower-case letters, digits and underscores, such as 'outbox_'",
  )
  expect(() => sqliteOutbox({ db, maxPayloadBytes: 0 })).toThrow(
    'The option maxPayloadBytes must be a whole number of bytes above 0',
  )
  expect(() => sqliteOutbox({ db, maxWaitMs: Number.NaN })).toThrow(
    'The option maxWaitMs must be a number of milliseconds from 0 on',
  )
  // @ts-expect-error a mock has no connection
  expect(() => setup(drizzle.mock())).toThrow('The option db is not a drizzle database on better-sqlite3 or libsql')
})

function thrownBy(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}

/** Tables with their columns and indexes with theirs, in the words of SQLite, whoever made them. */
function shapeOf({ $client }: TestDatabase): readonly unknown[] {
  const tables = $client.prepare(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
  )
  return tables.all().map((table) => {
    const { name } = table as { readonly name: string }
    const columns = $client
      .prepare('SELECT cid, name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)')
      .all(name)
    const indexes = $client
      .prepare(
        `SELECT l.name, l."unique", i.seqno, i.name AS column_name,
           CASE l.partial WHEN 1 THEN substr(s.sql, instr(upper(s.sql), ' WHERE ')) END AS condition
         FROM pragma_index_list(?) l JOIN pragma_index_info(l.name) i JOIN sqlite_schema s ON s.name = l.name
         WHERE l.origin = 'c' ORDER BY l.name, i.seqno`,
      )
      .all(name)
    const checks = $client.prepare('SELECT sql FROM sqlite_schema WHERE name = ?').pluck().get(name)
    return {
      name,
      columns,
      indexes,
      checks: String(checks)
        .replaceAll('CHECK (', 'CHECK(')
        .match(/CHECK\(.*\)/g),
    }
  })
}

/** What drizzle-kit generates for a user's schema file that holds the outbox's tables. */
function migrationOf(prefix: string, dialect: string, folder: string): string {
  const source = fileURLToPath(new URL('../src/sqlite/schema.ts', import.meta.url))
  const schema =
    prefix === 'outbox_'
      ? `export * from '${source}'`
      : `import { inboxTable, outboxTables } from '${source}'
export const { entries, pending, settled, sequences, aggregates, relays, leases, meta } = outboxTables({ prefix: '${prefix}' })
export const inbox = inboxTable({ prefix: '${prefix}' })`
  mkdirSync(join(folder, 'out'))
  writeFileSync(join(folder, 'schema.ts'), schema)
  const kit = join(packageFolder, 'node_modules/drizzle-kit/bin.cjs')
  execFileSync(
    process.execPath,
    [kit, 'generate', '--dialect', dialect, '--schema', join(folder, 'schema.ts'), '--out', join(folder, 'out')],
    { cwd: packageFolder, env: { ...process.env, NODE_OPTIONS: '--conditions=@outbox/source' } },
  )
  const [migration] = readdirSync(join(folder, 'out')).filter((name) => name.endsWith('.sql'))
  return readFileSync(join(folder, 'out', migration ?? ''), 'utf8').replaceAll('--> statement-breakpoint', '')
}
