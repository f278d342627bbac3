import {
  asTransaction,
  mysqlInbox,
  mysqlOutbox,
  setup,
  setupInbox,
  setupInboxSql,
  setupSql,
} from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase } from '@outbox/services'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { migrationOf, setupRequired, shapeOf, statementsOf } from './mysql-catalog.ts'
import { type Opened, openMysql, ownDatabase, rowsOf, servers, type TestDb } from './mysql-databases.ts'

const schemaFile = `export * from '@outbox/drizzle/mysql/schema'\n`

for (const [title, server] of servers) {
  describeWith(server, `the tables on ${title}`, () => {
    let database: TestDatabase
    let own: Opened<TestDb>
    beforeEach(async () => {
      database = await ownDatabase(server)
      own = openMysql(database.url)
    })
    afterEach(async () => {
      await own[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    })

    test('setup may run again and from several processes at once; its text and drizzle-kit make the same', async () => {
      await Promise.all([setup(own.db), setup(own.db), setup(own.db)])
      await setupInbox(own.db)
      await mysqlOutbox({ db: own.db }).check()
      await mysqlInbox({ db: own.db }).check()
      const shape = await shapeOf(own.pool)
      expect(Object.keys(shape)).toHaveLength(7)
      const byText = [...statementsOf(setupSql()), ...statementsOf(setupInboxSql())]
      for (const statements of [byText, await migrationOf(schemaFile)]) {
        for (const table of Object.keys(shape)) await own.pool.query(`drop table \`${table}\``)
        for (const statement of statements) await own.pool.query(statement)
        await mysqlOutbox({ db: own.db }).check()
        await mysqlInbox({ db: own.db }).check()
        expect(await shapeOf(own.pool)).toEqual(shape)
      }
    })

    test('a database and a prefix of their own, by setup and by drizzle-kit; several outboxes stand side by side', async () => {
      const place = { schema: `${database.name} other`, prefix: 'mail_' }
      await setup(own.db, place)
      await setup(own.db)
      const [here, there] = [mysqlOutbox({ db: own.db }), mysqlOutbox({ db: own.db, ...place })]
      await Promise.all([here.check(), there.check()])
      await own.db.transaction((tx) => there.enqueue(tx, { type: 'order.placed', aggregateId: '1', payload: 1 }))
      expect([await here.stats(), await there.stats()]).toMatchObject([{ pending: 0 }, { pending: 1 }])
      const [ownHolder, otherHolder] = [await here.join({ holder: 'h' }), await there.join({ holder: 'h' })]
      expect(ownHolder.source).not.toBe(otherHolder.source)
      // drizzle-kit leaves tables of `mysqlSchema` out: it makes those of the database that it is connected to
      const file = `import { inboxTable, outboxTables } from '@outbox/drizzle/mysql/schema'
export const { entries, sequences, aggregates, relays, leases, meta } = outboxTables({ prefix: 'mail_' })
export const inbox = inboxTable({ prefix: 'mail_' })
`
      const connection = await own.pool.getConnection()
      for (const table of await rowsOf(own.pool, `show tables from \`${place.schema}\``)) {
        await connection.query(`drop table \`${place.schema}\`.\`${Object.values(table)[0]}\``)
      }
      await connection.query(`use \`${place.schema}\``)
      for (const statement of await migrationOf(file)) await connection.query(statement)
      connection.destroy()
      await there.check()
      await mysqlInbox({ db: own.db, ...place }).check()
      await own.pool.query(`drop database \`${place.schema}\``)
    })

    test('what to run is told with the prefix that was given', async () => {
      const outbox = mysqlOutbox({ db: own.db, prefix: 'mail_' })
      expect((await setupRequired(outbox.check())).message).toContain("setup(db, { prefix: 'mail_' })")
      const enqueued = await setupRequired(
        own.db.transaction((tx) => outbox.enqueue(tx, { type: 'order.placed', aggregateId: '1', payload: 1 })),
      )
      expect(enqueued.message).toContain("setup(db, { prefix: 'mail_' })")
    })

    test('check names everything that is missing or other than it should be, and what to run', async () => {
      const outbox = mysqlOutbox({ db: own.db })
      const absent = await setupRequired(outbox.check())
      expect(absent.details.missing).toContain('table `outbox_entries`')
      expect(absent.details.missing).toHaveLength(6)
      expect(absent.message).toContain('setup(db)')
      await setup(own.db)
      await own.pool.query('drop table outbox_meta')
      await own.pool.query('alter table outbox_aggregates drop column parkings')
      await own.pool.query('alter table outbox_entries drop index outbox_entries_scan')
      await own.pool.query('alter table outbox_entries modify column headers longtext character set latin1')
      await own.pool.query('alter table outbox_sequences modify column aggregate_type varchar(255) not null')
      await own.pool.query('alter table outbox_relays engine = MyISAM')
      const missing = [
        'column `outbox_entries`.headers in utf8mb4; it is in latin1',
        'index outbox_entries_scan (partition, state, place, position) on `outbox_entries`',
        'column `outbox_sequences`.aggregate_type of type varbinary(255); it is varchar(255)',
        'column `outbox_aggregates`.parkings',
        'engine InnoDB of `outbox_relays`; it is MyISAM',
        'table `outbox_meta`',
      ]
      expect((await setupRequired(outbox.check())).details.missing).toEqual(missing)
      // what is there is not touched
      const lacking = await setupRequired(setup(own.db))
      expect(lacking.details.missing).toEqual(missing)
      expect(lacking.message).toContain('alters none')
      await own.pool.query('alter table outbox_aggregates add column parkings bigint unsigned not null default 0')
      const other = await setupRequired(setup(own.db))
      expect(other.details.missing).toEqual(missing.slice(0, 5).filter((part) => !part.endsWith('parkings')))
      expect(other.message).toContain('alters none')
    })

    test('a table of somebody else with a name of the outbox: setup and check say so, and setup makes nothing', async () => {
      await own.pool.query('create table outbox_entries (id int, body text)')
      await own.pool.query('create table outbox_meta (id int, body text)')
      for (const attempt of [() => setup(own.db), () => mysqlOutbox({ db: own.db }).check()]) {
        const error = await setupRequired(attempt())
        expect(error.message).toMatch(/^`outbox_entries`, `outbox_meta` are there, and not of the outbox, /)
        expect(error.message).toContain("another prefix or schema, everywhere the same, as in { prefix: 'events_' }")
        expect(error.details.missing).toContain('column `outbox_entries`.aggregate_type')
        expect(error.details.missing).toContain('table `outbox_leases`')
      }
      expect(Object.keys(await shapeOf(own.pool))).toEqual(['outbox_entries', 'outbox_meta'])
      await setupInbox(own.db)
      await mysqlInbox({ db: own.db }).check() // an inbox does without the table meta
      await setup(own.db, { prefix: 'events_' })
      await mysqlOutbox({ db: own.db, prefix: 'events_' }).check()
    })

    test('connections without a database are told so, also where the option schema names one', async () => {
      await setup(own.db)
      await setupInbox(own.db)
      const url = new URL(database.url)
      url.pathname = '/'
      await using bare = openMysql(url.href)
      const { db } = bare
      const placed = { type: 'order.placed', aggregateId: '1', payload: 1 }
      for (const attempt of [
        () => mysqlOutbox({ db }).check(),
        () => mysqlInbox({ db }).check(),
        () => setup(db),
        () => setupInbox(db),
        () => db.transaction((tx) => mysqlOutbox({ db }).enqueue(tx, placed)),
        () => mysqlOutbox({ db }).stats(),
      ]) {
        const error = await setupRequired(attempt())
        expect(error.details.missing).toEqual(['a database'])
        expect(error.message).toContain('no database selected')
        expect(error.message).toContain('Name one where your pool is made')
      }
      // with the option schema tables can be made, and entries enqueued; what joins a table to delete cannot run
      const place = { schema: database.name }
      await setup(db, place)
      const [outbox, inbox] = [mysqlOutbox({ db, ...place }), mysqlInbox({ db, ...place })]
      const [receipt] = await db.transaction((tx) => outbox.enqueue(tx, placed))
      await db.transaction((tx) => inbox.once(tx, 'billing', 'm-1', () => undefined))
      await mysqlOutbox({ db: own.db }).markPublished([receipt?.id ?? ''])
      for (const store of [outbox, inbox]) {
        const attempts = [() => store.check(), () => store.purge({ olderThanMs: 0, limit: 10 })]
        for (const attempt of attempts) expect((await setupRequired(attempt())).details.missing).toEqual(['a database'])
      }
    })

    test('check and setup name a version that is not this one, also of an inbox', async () => {
      await setup(own.db)
      await setupInbox(own.db)
      const [outbox, inbox] = [mysqlOutbox({ db: own.db }), mysqlInbox({ db: own.db })]
      await own.pool.query(`insert into outbox_meta values ('version', '2'), ('inbox-version', '0')`)
      for (const attempt of [() => outbox.check(), () => setup(own.db)]) {
        expect((await setupRequired(attempt())).message).toContain('Update @outbox/drizzle here')
      }
      for (const attempt of [() => inbox.check(), () => setupInbox(own.db)]) {
        const { details } = await setupRequired(attempt())
        expect(details.missing).toEqual([`version 1 of the inbox's tables; these are version 0`])
      }
      await own.pool.query(`update outbox_meta set value = '1'`)
      await outbox.check()
      await inbox.check()
      await outbox.join({ holder: 'h' })
      expect(await rowsOf(own.pool, `select value from outbox_meta where \`key\` = 'source'`)).toHaveLength(1)
    })

    test('an inbox needs a table of its own and nothing of an outbox', async () => {
      await Promise.all([setupInbox(own.db), setupInbox(own.db)])
      await mysqlInbox({ db: own.db }).check()
      expect(Object.keys(await shapeOf(own.pool))).toEqual(['outbox_inbox'])
      await own.pool.query('alter table outbox_inbox drop column handled_at')
      const missing = ['column `outbox_inbox`.handled_at', 'index outbox_inbox_handled (handled_at) on `outbox_inbox`']
      expect((await setupRequired(mysqlInbox({ db: own.db }).check())).details.missing).toEqual(missing)
    })

    test.each([
      ['do not commit by themselves', 'set autocommit = 0', 'autocommit = 1'],
      [
        'see what is not committed',
        'set session transaction isolation level read uncommitted',
        'an isolation level above READ UNCOMMITTED',
      ],
    ])('connections that %s are refused', async (_, statement, missing) => {
      await setup(own.db)
      await using odd = openMysql(database.url, { connectionLimit: 1 })
      await odd.pool.query(statement)
      const { details } = await setupRequired(mysqlOutbox({ db: odd.db }).check())
      expect(details.missing).toEqual([missing])
    })

    test('without its tables enqueue says so, and what to run', async () => {
      const outbox = mysqlOutbox({ db: own.db })
      const attempt = own.db.transaction((tx) => outbox.enqueue(tx, { type: 'a.b', aggregateId: '1', payload: 1 }))
      const error = await setupRequired(attempt)
      expect(error.message).toContain('outbox_entries')
      expect(error.message).toContain('setup(db)')
    })

    test('names that cannot work are refused at once', () => {
      const { db } = own
      expect(() => mysqlOutbox({ db, prefix: 'Mail_' })).toThrow('The option prefix')
      expect(() => mysqlOutbox({ db, schema: 'möbel' })).toThrow('The option schema')
      // @ts-expect-error no database
      expect(() => mysqlOutbox({ db: {} })).toThrow('The option db is no drizzle database on MySQL or MariaDB')
      // @ts-expect-error no function
      expect(() => mysqlOutbox({ db, ids: 'uuid' })).toThrow('The option ids')
      expect(() => mysqlOutbox({ db, maxPayloadBytes: 0 })).toThrow('The option maxPayloadBytes')
      expect(() => asTransaction(db)).toThrow('over a pool')
    })
  })
}
