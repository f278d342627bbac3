import { type MysqlTransaction, mysqlInbox, setupInbox } from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase, waitFor } from '@outbox/services'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openMysql, openMysqlRc, ownDatabase, rowsOf, servers, sessionsWaiting } from './mysql-databases.ts'

const nothing = (): void => undefined
const run = (tx: MysqlTransaction, text: string) => tx.execute(sql.raw(text) as never)
const ended = { code: 'not-a-transaction', details: { reason: 'finished' } }

for (const [title, server] of servers) {
  describeWith(server, `the inbox on ${title}`, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await ownDatabase(server)
      await using own = openMysql(database.url)
      await setupInbox(own.db)
      await own.pool.query('create table accounts (id int primary key, cents int not null)')
    })
    afterAll(() => database[Symbol.asyncDispose]())
    beforeEach(async () => {
      await using own = openMysql(database.url)
      await own.pool.query('truncate outbox_inbox')
      await own.pool.query('replace into accounts values (1, 0), (2, 0), (3, 0), (4, 0)')
    })

    describe.each([
      ['drizzle 0.45', () => openMysql(database.url)],
      ['drizzle 1.0', () => openMysqlRc(database.url)],
    ])('%s', (_, open) => {
      test('a handler whose connection is cut off has not handled the message: it comes again', async () => {
        await using own = open()
        const inbox = mysqlInbox({ db: own.db })
        const delivery = own.db.transaction((tx) =>
          inbox.once(tx, 'billing', 'm-1', async () => {
            await run(tx, 'kill connection_id()').then(nothing, nothing)
          }),
        )
        await expect(delivery).rejects.toThrow()
        expect(await own.db.transaction((tx) => inbox.once(tx, 'billing', 'm-1', nothing))).toBe(true)
      })

      test('a handler that catches a deadlock and goes on is told that its transaction is over', async () => {
        await using own = open()
        const inbox = mysqlInbox({ db: own.db })
        const pay = (id: number) => `update accounts set cents = cents + 100 where id = ${id}`
        const others = await own.pool.getConnection()
        await others.query('begin')
        // it has changed more rows, so that it is not the one to be rolled back
        await others.query('update accounts set cents = cents + 1 where id > 1')
        let caught = 0
        let blocked: Promise<unknown> = Promise.resolve()
        const delivery = own.db.transaction((tx) =>
          inbox.once(tx, 'billing', 'm-1', async () => {
            await run(tx, pay(1))
            blocked = others.query('update accounts set cents = cents + 1 where id = 1')
            await waitFor(async () => (await sessionsWaiting(database)) === 1, {
              what: 'the other to wait',
              // asked more often than every 100 ms, InnoDB gives what it gave before
              intervalMs: 150,
            })
            try {
              await run(tx, pay(2))
            } catch {
              caught += 1
              await blocked
              await others.query('commit')
              await run(tx, pay(2)) // commits by itself
            }
          }),
        )
        await expect(delivery).rejects.toMatchObject(ended)
        await expect(delivery).rejects.toThrow(/^The transaction ended before the handler did/)
        others.release()
        expect(caught).toBe(1)
        expect(await rowsOf(own.pool, 'select message_id from outbox_inbox')).toEqual([])
      })

      test('so is one under which another transaction was begun, and another process has handled the message', async () => {
        await using own = open()
        const inbox = mysqlInbox({ db: own.db })
        const delivery = own.db.transaction((tx) =>
          inbox.once(tx, 'billing', 'm-1', async () => {
            await run(tx, 'rollback')
            await own.db.transaction((other) => inbox.once(other, 'billing', 'm-1', nothing))
            await run(tx, 'begin')
          }),
        )
        await expect(delivery).rejects.toMatchObject(ended)
      })

      test('so is one whose statement commits, as any that changes a table does', async () => {
        await using own = open()
        const inbox = mysqlInbox({ db: own.db })
        const delivery = own.db.transaction((tx) =>
          inbox.once(tx, 'billing', 'm-1', async () => {
            await run(tx, "alter table accounts comment = 'checked'")
          }),
        )
        await expect(delivery).rejects.toMatchObject(ended)
      })

      test('a savepoint that is rolled back within the handler changes nothing, with what was handled in it', async () => {
        await using own = open()
        const inbox = mysqlInbox({ db: own.db })
        const undone = new Error('undone on purpose')
        const delivery = own.db.transaction((tx) =>
          inbox.once(tx, 'billing', 'm-1', async () => {
            const inner = tx.transaction(async (savepoint) => {
              await inbox.once(savepoint, 'billing', 'm-2', nothing)
              throw undone
            })
            await expect(inner).rejects.toBe(undone)
            expect(await inbox.once(tx, 'billing', 'm-2', nothing)).toBe(true)
          }),
        )
        expect(await delivery).toBe(true)
      })

      test('a handler that outlives the savepoint in which its message was marked is told so', async () => {
        await using own = open()
        const inbox = mysqlInbox({ db: own.db })
        const over = Promise.withResolvers<void>()
        let forgotten: Promise<unknown> = Promise.resolve()
        await own.db.transaction(async (tx) => {
          const inner = tx.transaction(async (savepoint) => {
            await new Promise<void>((started) => {
              forgotten = inbox.once(savepoint, 'billing', 'm-1', () => {
                started()
                return over.promise
              })
            })
            throw new Error('undone on purpose')
          })
          await expect(inner).rejects.toThrow('undone on purpose')
          over.resolve()
          await expect(forgotten).rejects.toMatchObject(ended)
        })
      })
    })
  })
}
