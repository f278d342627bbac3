import Database from 'better-sqlite3'
import { createPool } from 'mysql2/promise'
import { Pool } from 'pg'
import { describe, expect, it } from 'vitest'
import {
  mysqlInbox,
  mysqlOutbox,
  setup as mysqlSetup,
  setupInbox as mysqlSetupInbox,
  setupInboxSql as mysqlSetupInboxSql,
  setupSql as mysqlSetupSql,
} from '../src/mysql/index.ts'
import { inboxTable as mysqlInboxTable, outboxTables as mysqlOutboxTables } from '../src/mysql/schema.ts'
import { emptyLog, pgInbox, pgOutbox, setup, setupInbox, setupInboxSql, setupSql } from '../src/pg/index.ts'
import { inboxTable, outboxTables } from '../src/pg/schema.ts'
import {
  sqliteInbox,
  sqliteOutbox,
  setup as sqliteSetup,
  setupInbox as sqliteSetupInbox,
  setupInboxSql as sqliteSetupInboxSql,
  setupSql as sqliteSetupSql,
} from '../src/sqlite/index.ts'
import { inboxTable as sqliteInboxTable, outboxTables as sqliteOutboxTables } from '../src/sqlite/schema.ts'

type Factory = (...given: never[]) => unknown

const db = {} // no database is asked: an option that is not known is told before anything else

/** A misspelt place would be the place by default: another table's rows would be read, purged and discarded. */
describe('a misspelt place is refused, with what there is, by', () => {
  it.each<[string, Factory, given: (place: object) => readonly unknown[]]>([
    ['pgOutbox', pgOutbox, (place) => [{ db, ...place }]],
    ['pgInbox', pgInbox, (place) => [{ db, ...place }]],
    ['setup', setup, (place) => [db, place]],
    ['setupInbox', setupInbox, (place) => [db, place]],
    ['setupSql', setupSql, (place) => [place]],
    ['setupInboxSql', setupInboxSql, (place) => [place]],
    ['outboxTables', outboxTables, (place) => [place]],
    ['inboxTable', inboxTable, (place) => [place]],
    ['emptyLog', emptyLog, (place) => [db, place]],
    ['mysqlOutbox', mysqlOutbox, (place) => [{ db, ...place }]],
    ['mysqlInbox', mysqlInbox, (place) => [{ db, ...place }]],
    ['setup', mysqlSetup, (place) => [db, place]],
    ['setupInbox', mysqlSetupInbox, (place) => [db, place]],
    ['setupSql', mysqlSetupSql, (place) => [place]],
    ['setupInboxSql', mysqlSetupInboxSql, (place) => [place]],
    ['outboxTables', mysqlOutboxTables, (place) => [place]],
    ['inboxTable', mysqlInboxTable, (place) => [place]],
    ['sqliteOutbox', sqliteOutbox, (place) => [{ db, ...place }]],
    ['sqliteInbox', sqliteInbox, (place) => [{ db, ...place }]],
    ['setup', sqliteSetup, (place) => [db, place]],
    ['setupInbox', sqliteSetupInbox, (place) => [db, place]],
    ['setupSql', sqliteSetupSql, (place) => [place]],
    ['setupInboxSql', sqliteSetupInboxSql, (place) => [place]],
    ['outboxTables', sqliteOutboxTables, (place) => [place]],
    ['inboxTable', sqliteInboxTable, (place) => [place]],
  ])('%s', async (name, factory, given) => {
    const call = async () => Reflect.apply(factory, undefined, given({ prefx: 'other_' }))
    await expect(call()).rejects.toMatchObject({
      code: 'invalid-option',
      details: { option: 'prefx' },
      message: expect.stringMatching(new RegExp(`^${name}: prefx is unknown; there are: .*prefix`)),
    })
  })
})

it.each<[string, Factory]>([
  ['pgOutbox', pgOutbox],
  ['pgInbox', pgInbox],
  ['setup', setup],
  ['setupInbox', setupInbox],
  ['emptyLog', emptyLog],
  ['mysqlOutbox', mysqlOutbox],
  ['mysqlInbox', mysqlInbox],
  ['setup', mysqlSetup],
  ['setupInbox', mysqlSetupInbox],
  ['sqliteOutbox', sqliteOutbox],
  ['sqliteInbox', sqliteInbox],
  ['setup', sqliteSetup],
  ['setupInbox', sqliteSetupInbox],
])('%s() asks for a database', async (_, factory) => {
  const call = async () => Reflect.apply(factory, undefined, [])
  await expect(call()).rejects.toMatchObject({ code: 'invalid-option', details: { option: 'db' } })
})

/** None of them connects before it is asked something. */
const driversOwn: readonly (readonly [string, object])[] = [
  ["node-postgres's pool", new Pool()],
  ["mysql2's pool", createPool({})],
  ["better-sqlite3's database", new Database(':memory:')],
]

describe.each(driversOwn)('%s, which is no drizzle database, is refused by', (_, client) => {
  it.each<[string, Factory]>([
    ['setup of PostgreSQL', setup],
    ['setupInbox of PostgreSQL', setupInbox],
    ['emptyLog', emptyLog],
    ['setup of MySQL', mysqlSetup],
    ['setupInbox of MySQL', mysqlSetupInbox],
    ['setup of SQLite', sqliteSetup],
    ['setupInbox of SQLite', sqliteSetupInbox],
  ])('%s', async (_name, factory) => {
    const call = async () => Reflect.apply(factory, undefined, [client])
    await expect(call()).rejects.toMatchObject({
      code: 'invalid-option',
      details: { option: 'db' },
      message: expect.stringMatching(/^The option db is (no|not a) drizzle database on .*: pass .*drizzle\(/),
    })
  })
})
