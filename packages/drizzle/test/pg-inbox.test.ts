import { OutboxError } from '@outbox/core'
import { asTransaction, pgInbox, pgOutbox, setup, setupInbox, setupInboxSql } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { migrationOf, setupRequired, shapeOf } from './pg-catalog.ts'
import { openNodePostgres, openPostgresJs, ownDatabase } from './pg-databases.ts'

const nothing = (): void => undefined
const ended = { code: 'not-a-transaction', details: { reason: 'finished' } }

describeWith('postgres', 'the inbox', () => {
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

  test('needs a table of its own and nothing of an outbox, made by setup, by its text or by drizzle-kit', async () => {
    await Promise.all([setupInbox(db), setupInbox(db), setupInbox(db)])
    await pgInbox({ db }).check()
    const shape = await shapeOf(pool)
    expect(shape.filter((line) => !line.includes('outbox_inbox'))).toEqual([])
    const migration = await migrationOf("export { outboxInbox } from '@outbox/drizzle/pg/schema'\n")
    for (const sql of [setupInboxSql(), migration]) {
      await pool.query(`drop table outbox_inbox; ${sql}`)
      await pgInbox({ db }).check()
      expect(await shapeOf(pool)).toEqual(shape)
    }
  })

  test('beside an outbox shares its place and nothing else', async () => {
    await setup(db)
    await setupInbox(db)
    const [inbox, outbox] = [pgInbox({ db }), pgOutbox({ db, notify: 'off' })]
    const deliver = () =>
      db.transaction((tx) =>
        inbox.once(tx, 'billing', 'm-1', async () => {
          await outbox.enqueue(tx, { type: 'invoice.sent', aggregateId: '7', payload: {} })
        }),
      )
    expect([await deliver(), await deliver()]).toEqual([true, false])
    expect(await outbox.stats()).toMatchObject({ pending: 1 })
  })

  test('check names the table, what lacks in it, and another version, with what to run', async () => {
    const inbox = pgInbox({ db })
    const absent = await setupRequired(inbox.check())
    expect(absent.details.missing).toEqual(['table "outbox_inbox"'])
    expect(absent.message).toContain('setupInbox(db)')
    await setupInbox(db)
    await pool.query('alter table outbox_inbox drop column handled_at')
    const missing = ['column "outbox_inbox".handled_at', 'index outbox_inbox_handled on "outbox_inbox"']
    expect((await setupRequired(inbox.check())).details.missing).toEqual(missing)
    await pool.query('drop table outbox_inbox')
    await setupInbox(db)
    await setup(db)
    await pool.query(`insert into outbox_meta values ('inbox-version', '2')`)
    for (const attempt of [() => inbox.check(), () => setupInbox(db)]) {
      const newer = await setupRequired(attempt())
      expect(newer.details.missing).toEqual([
        "a newer @outbox/drizzle: the inbox's tables are version 2, this package knows 1",
      ])
    }
  })

  test('without its table, or without its key, once says so, and the handler does not run', async () => {
    const inbox = pgInbox({ db })
    let runs = 0
    const deliver = () => db.transaction((tx) => inbox.once(tx, 'billing', 'm-1', () => void runs++))
    expect((await setupRequired(deliver())).message).toContain('outbox_inbox')
    await setupInbox(db)
    await pool.query('alter table outbox_inbox drop constraint outbox_inbox_pkey')
    await setupRequired(deliver())
    expect(runs).toBe(0)
  })

  test('a handler whose connection is cut off has not handled the message: it comes again', async () => {
    await setupInbox(db)
    await using own = openNodePostgres(database.url)
    const inbox = pgInbox({ db: own.db })
    const delivery = own.db.transaction((tx) =>
      inbox.once(tx, 'billing', 'm-1', async () => {
        await pool.query(
          `select pg_terminate_backend(pid, 10000) from pg_locks where relation = 'outbox_inbox'::regclass and pid <> pg_backend_pid()`,
        )
      }),
    )
    await expect(delivery).rejects.toThrow()
    expect(await own.db.transaction((tx) => inbox.once(tx, 'billing', 'm-1', nothing))).toBe(true)
  })

  test('what is no database is refused at once', () => {
    // @ts-expect-error no database
    expect(() => pgInbox({ db: {} })).toThrow('The option db is no drizzle database on PostgreSQL')
  })

  describe.each([
    ['node-postgres', () => openNodePostgres(database.url)],
    ['postgres-js', () => openPostgresJs(database.url)],
  ])('%s', (_, open) => {
    test('a once that begins when its transaction has ended, or on a database, marks nothing and runs no handler', async () => {
      await using own = open()
      await setupInbox(own.db)
      const inbox = pgInbox({ db: own.db })
      let runs = 0
      let release: () => void = nothing
      const ended = new Promise<void>((resolve) => {
        release = resolve
      })
      let forgotten: Promise<unknown> = Promise.resolve()
      await own.db.transaction(async (tx) => {
        forgotten = ended.then(() => inbox.once(tx, 'billing', 'm-1', () => void runs++))
      })
      release()
      await expect(forgotten).rejects.toMatchObject({ code: 'not-a-transaction', details: { reason: 'finished' } })
      // @ts-expect-error a database is no transaction
      const onDatabase = inbox.once(own.db, 'billing', 'm-1', () => void runs++)
      await expect(onDatabase).rejects.toThrow('once was given a database, not a transaction')
      const named = inbox.once(asTransaction(own.db), 'billing', 'm-1', () => void runs++)
      await expect(named).rejects.toMatchObject({ details: { reason: 'finished' } })
      expect(runs).toBe(0)
      expect((await pool.query('select from outbox_inbox')).rowCount).toBe(0)
    })

    test('a handler that catches an error of the database and goes on is told that its transaction is over', async () => {
      await using own = open()
      await setupInbox(own.db)
      const inbox = pgInbox({ db: own.db })
      // PostgreSQL answers the commit of such a transaction with a rollback, and calls that no error
      const delivery = own.db.transaction((tx) =>
        inbox.once(tx, 'billing', 'm-1', async () => {
          await tx.execute('select 1 / 0').catch(nothing)
        }),
      )
      await expect(delivery).rejects.toMatchObject({ ...ended, cause: { code: '25P02' } })
      // to a savepoint it can go back
      const within = own.db.transaction((tx) =>
        inbox.once(tx, 'billing', 'm-1', async () => {
          const failing = tx.transaction(async (savepoint) => {
            await savepoint.execute('select 1 / 0')
          })
          await failing.catch(nothing)
        }),
      )
      expect(await within).toBe(true)
    })

    test('so is a handler under which the transaction was committed, and another one begun that writes', async () => {
      await using own = open()
      await setupInbox(own.db)
      const inbox = pgInbox({ db: own.db })
      for (const statements of [['commit'], ['commit and chain'], ['rollback and chain', 'delete from outbox_inbox']]) {
        const delivery = own.db.transaction((tx) =>
          inbox.once(tx, 'billing', statements.join(), async () => {
            for (const statement of statements) await tx.execute(statement)
          }),
        )
        await expect(delivery).rejects.toMatchObject(ended)
      }
    })

    test.each(['repeatable read', 'serializable'] as const)(
      'at %s a delivery that another one overtook is busy, and a repeat when it is run again',
      async (isolationLevel) => {
        await using own = open()
        await setupInbox(own.db)
        const inbox = pgInbox({ db: own.db })
        let runs = 0
        const deliver = (before: () => Promise<unknown>) =>
          own.db.transaction(
            async (tx) => {
              await tx.execute('select 1') // takes the snapshot
              await before()
              return inbox.once(tx, 'billing', 'm-1', () => void runs++)
            },
            { isolationLevel },
          )
        const other = () => own.db.transaction((tx) => inbox.once(tx, 'billing', 'm-1', nothing))
        const error: unknown = await deliver(other).catch((thrown: unknown) => thrown)
        expect(OutboxError.is(error, 'busy') && error.isRetryable).toBe(true)
        expect(await deliver(async () => undefined)).toBe(false)
        expect(runs).toBe(0)
      },
    )
  })
})
