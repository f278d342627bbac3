import { event, OutboxError } from '@outbox/core'
import { type MysqlTransaction, mysqlInbox, mysqlOutbox, setup, setupInbox } from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase, waitFor } from '@outbox/services'
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
