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
  ['mysqlOutbox', mysqlOutbox],
  ['mysqlInbox', mysqlInbox],
  ['sqliteOutbox', sqliteOutbox],
  ['sqliteInbox', sqliteInbox],
])('%s() asks for a database', (_, factory) => {
  expect(() => Reflect.apply(factory, undefined, [])).toThrow(
    expect.objectContaining({ code: 'invalid-option', details: { option: 'db' } }),
  )
})
