import { type Enqueueable, event, OutboxError } from '@outbox/core'
import { asTransaction, type MysqlTransaction, mysqlInbox, mysqlOutbox, setup, setupInbox } from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase, waitFor } from '@outbox/services'
import type { SQL } from 'drizzle-orm'
import { MySqlDialect } from 'drizzle-orm/mysql-core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  emptied,
  type Opened,
  openMysql,
  ownDatabase,
  servers,
  sessionsWaiting,
  type TestDb,
} from './mysql-databases.ts'

type TestTransaction = Parameters<Parameters<TestDb['transaction']>[0]>[0]

const placed = event('order.placed', { aggregateId: '1', payload: {} })

for (const [title, server] of servers) {
  describeWith(server, `isolation on ${title}`, () => {
    let database: TestDatabase
    let own: Opened<TestDb>
    beforeAll(async () => {
      database = await ownDatabase(server)
      own = openMysql(database.url)
      await setup(own.db)
      await setupInbox(own.db)
    })
    afterAll(async () => {
      await own[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    })
    beforeEach(async () => {
      await emptied(own.pool)
      await own.db.transaction((tx) => mysqlOutbox({ db: own.db }).enqueue(tx, placed))
    })

    test.each(['read committed', 'repeatable read'] as const)(
      'at %s the second of two transactions on one aggregate waits for the first, and goes on',
      async (isolationLevel) => {
        expect(await secondOfTwo(own, isolationLevel)).toMatchObject([{ sequence: 3 }])
      },
    )

    test('an id that was purged since the snapshot holds up no other producer', async () => {
      await using impatient = openMysql(database.url)
      impatient.pool.pool.on('connection', (connection) => {
        connection.query('set innodb_lock_wait_timeout = 1')
      })
      const outbox = mysqlOutbox({ db: impatient.db })
      const again = { ...placed, aggregateId: 'k', id: crypto.randomUUID() }
      await own.db.transaction((tx) => outbox.enqueue(tx, again))
      await outbox.markPublished([again.id])
      await own.db.transaction(
        async (tx) => {
          await tx.execute('select count(*) from outbox_relays')
          expect(await outbox.purge({ olderThanMs: 0, limit: 10 })).toBe(1)
          expect(await outbox.enqueue(tx, again)).toMatchObject([{ duplicate: true }])
          for (const aggregateId of ['0', 'j', 'k', 'l', 'z'])
            await impatient.db.transaction((other) => outbox.enqueue(other, { ...placed, aggregateId }))
        },
        { isolationLevel: 'repeatable read' },
      )
    })

    describe('at read uncommitted', () => {
      const again = { ...placed, id: crypto.randomUUID() }
      const isolationLevel = 'read uncommitted'

      test.each(['rolls back', 'commits'] as const)(
        'an id of an open transaction is there already only once that has committed: it %s',
        async (end) => {
          expect(await besideOpen(again, end, [again, placed])).toMatchObject([
            { id: again.id, duplicate: end === 'commits' },
            { duplicate: false },
          ])
          expect(await mysqlOutbox({ db: own.db }).stats()).toMatchObject({ pending: 3 })
        },
      )

      test('an id whose transaction was rolled back is not there because another has its number', async () => {
        const outbox = mysqlOutbox({ db: own.db })
        await using first = openWith(again, 'rolls back')
        await first.isOpen
        const receipts = await own.db.transaction(
          (tx) =>
            outbox.enqueue(
              before(tx, 'lock in share mode', async () => {
                await first.finish()
                await own.db.transaction((other) => outbox.enqueue(other, placed))
              }),
              again,
            ),
          { isolationLevel },
        )
        expect(receipts).toMatchObject([{ id: again.id, sequence: 3, duplicate: false }])
      })

      test('of several ids that an insert has met, those of an open transaction are waited for', async () => {
        const outbox = mysqlOutbox({ db: own.db })
        const committed = { ...placed, aggregateId: 'a', id: crypto.randomUUID() }
        const open = { ...placed, aggregateId: 'b', id: crypto.randomUUID() }
        const receipts = await own.db.transaction(
          (tx) =>
            outbox.enqueue(
              before(tx, 'insert into `outbox_entries`', async () => {
                await own.db.transaction((other) => outbox.enqueue(other, { ...committed, aggregateId: 'c' }))
                const other = openWith({ ...open, aggregateId: 'd' }, 'rolls back')
                await other.isOpen
                void oneWaits().then(other.finish, other.finish)
              }),
              [committed, open],
            ),
          { isolationLevel },
        )
        expect(receipts).toMatchObject([
          { id: committed.id, duplicate: true },
          { id: open.id, duplicate: false },
        ])
        expect(await outbox.stats()).toMatchObject({ pending: 3 })
      })

      test('how an open transaction numbers a type binds nobody until it has committed', async () => {
        const booked = { type: 'ledger.booked', aggregateId: '1', payload: {} }
        expect(await besideOpen(booked, 'rolls back', [{ ...booked, sequence: 7 }])).toMatchObject([{ sequence: 7 }])
        await expect(
          besideOpen({ ...booked, type: 'other.booked' }, 'commits', [
            { ...booked, type: 'other.booked', sequence: 7 },
          ]),
        ).rejects.toMatchObject({ code: 'sequence-source-mixed' })
      })

      /** What is told to who enqueues beside an open transaction, which ends once that waits. */
      async function besideOpen(one: Enqueueable, end: 'rolls back' | 'commits', batch: readonly Enqueueable[]) {
        await using first = openWith(one, end)
        await first.isOpen
        const second = own.db.transaction((tx) => mysqlOutbox({ db: own.db }).enqueue(tx, batch), { isolationLevel })
        await Promise.race([oneWaits(), Promise.allSettled([second])])
        await first.finish()
        return await second
      }

      function openWith(one: Enqueueable, end: 'rolls back' | 'commits') {
        const [opened, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
        const ended = own.db
          .transaction(async (tx) => {
            await mysqlOutbox({ db: own.db }).enqueue(tx, one)
            opened.resolve()
            await released.promise
            if (end === 'rolls back') tx.rollback()
          })
          .catch((error: unknown) => {
            if (end === 'commits') throw error
          })
        const finish = (): Promise<void> => {
          released.resolve()
          return ended
        }
        return { isOpen: opened.promise, finish, [Symbol.asyncDispose]: finish }
      }

      /** The same transaction, where something happens right before the first statement with these words. */
      function before(tx: TestTransaction, words: string, happens: () => Promise<void>): MysqlTransaction {
        let isOver = false
        const execute = async (query: SQL) => {
          if (!isOver && new MySqlDialect().sqlToQuery(query).sql.includes(words)) {
            isOver = true
            await happens()
          }
          return tx.execute(query)
        }
        return asTransaction({ execute })
      }

      function oneWaits(): Promise<unknown> {
        return waitFor(async () => (await sessionsWaiting(database)) === 1, {
          what: 'one to wait for another',
          intervalMs: 150,
        })
      }
    })

    test('at serializable transactions that meet are told busy at worst, and succeed when they are run again', async () => {
      const outbox = mysqlOutbox({ db: own.db })
      const place = (): Promise<unknown> =>
        own.db
          .transaction((tx) => outbox.enqueue(tx, placed), { isolationLevel: 'serializable' })
          .catch((error: unknown) => (OutboxError.is(error, 'busy') ? place() : Promise.reject(error)))
      await Promise.all(Array.from({ length: 6 }, place))
      expect(await outbox.stats()).toMatchObject({ pending: 7 })
    })

    /** @returns what the second is told, which has enqueued once the first had */
    async function secondOfTwo({ db }: Opened<TestDb>, isolationLevel: 'read committed' | 'repeatable read') {
      const outbox = mysqlOutbox({ db })
      const { second } = await db.transaction(
        async (first) => {
          await outbox.enqueue(first, placed)
          const second = db.transaction((tx) => outbox.enqueue(tx, placed), { isolationLevel })
          await waitFor(async () => (await sessionsWaiting(database)) === 1, {
            what: 'the second to wait for the first',
            intervalMs: 150,
          })
          return { second: Promise.allSettled([second]) }
        },
        { isolationLevel },
      )
      const [end] = await second
      return end.status === 'fulfilled' ? end.value : end.reason
    }

    // MariaDB's own; on by default from 11.6.2
    if (server === 'mysql') return
    describe('with innodb_snapshot_isolation', () => {
      let strict: Opened<TestDb>
      beforeEach(() => {
        strict = openMysql(database.url)
        strict.pool.pool.on('connection', (connection) => {
          connection.query('set innodb_snapshot_isolation = on')
        })
      })

      test('at repeatable read the second is told busy, and succeeds when it is run again', async () => {
        await using _ = strict
        const outbox = mysqlOutbox({ db: strict.db })
        const error = await secondOfTwo(strict, 'repeatable read')
        expect(error).toMatchObject({ code: 'busy', isRetryable: true, cause: { errno: 1020 } })
        expect(await strict.db.transaction((tx) => outbox.enqueue(tx, placed))).toMatchObject([{ sequence: 3 }])
        expect(await outbox.stats()).toMatchObject({ pending: 3 })
      })

      test('at repeatable read what is there since before the snapshot is a duplicate, whatever came since', async () => {
        await using _ = strict
        const outbox = mysqlOutbox({ db: strict.db })
        const again = { ...placed, id: crypto.randomUUID() }
        await strict.db.transaction((tx) => outbox.enqueue(tx, again))
        const receipts = await strict.db.transaction(
          async (tx) => {
            await tx.execute('select count(*) from outbox_relays')
            await strict.db.transaction((other) => outbox.enqueue(other, placed))
            return outbox.enqueue(tx, again)
          },
          { isolationLevel: 'repeatable read' },
        )
        expect(receipts).toMatchObject([{ id: again.id, duplicate: true }])
      })

      test('at read committed it waits, and goes on', async () => {
        await using _ = strict
        expect(await secondOfTwo(strict, 'read committed')).toMatchObject([{ sequence: 3 }])
      })

      test('a delivery waits for another of its message; one whose snapshot is older than the mark is told busy', async () => {
        await using _ = strict
        const inbox = mysqlInbox({ db: strict.db })
        const id = crypto.randomUUID()
        const deliver = (tx: MysqlTransaction) => inbox.once(tx, 'billing', id, () => undefined)
        const late = strict.db.transaction(async (tx) => {
          await tx.execute('select count(*) from outbox_relays')
          const ends = await Promise.all(Array.from({ length: 4 }, () => strict.db.transaction(deliver)))
          expect(ends.filter((isFirst) => isFirst)).toEqual([true])
          await deliver(tx)
        })
        await expect(late).rejects.toMatchObject({ code: 'busy', isRetryable: true, cause: { errno: 1020 } })
        expect(await strict.db.transaction(deliver)).toBe(false)
      })
    })
  })
}
