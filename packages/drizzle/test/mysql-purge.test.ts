import { type MysqlInbox, mysqlInbox, mysqlOutbox, setup, setupInbox } from '@outbox/drizzle/mysql'
import { describeWith } from '@outbox/services'
import type { SQL } from 'drizzle-orm'
import { MySqlDialect } from 'drizzle-orm/mysql-core'
import { createConnection } from 'mysql2/promise'
import { expect, test } from 'vitest'
import { openMysql, ownDatabase, servers } from './mysql-databases.ts'

const dialect = new MySqlDialect()

for (const [title, server] of servers) {
  describeWith(server, `purge on ${title}`, () => {
    /** Locked by somebody, and as old as each other. In front of the free ones. */
    const lockedCount = 1_200

    test('a purge passes over entries that somebody has locked, to its limit, and comes to an end', async () => {
      await using database = await ownDatabase(server)
      await using own = openMysql(database.url)
      await setup(own.db)
      const outbox = mysqlOutbox({ db: own.db })
      const batch = Array.from({ length: 1_500 }, (_, n) => ({
        type: 'order.placed',
        aggregateId: `${n}`,
        payload: {},
        id: crypto.randomUUID(),
      }))
      await own.db.transaction((tx) => outbox.enqueue(tx, batch))
      await outbox.markPublished(batch.slice(0, lockedCount).map(({ id }) => id))
      await outbox.markPublished(batch.slice(lockedCount).map(({ id }) => id))
      await using _ = await locking(
        database.url,
        `select position from outbox_entries force index (primary) order by position limit ${lockedCount} for update`,
      )
      await expectToPassOver(outbox)
    })

    test('a purge of an inbox does so, too', async () => {
      await using database = await ownDatabase(server)
      await using own = openMysql(database.url)
      await setupInbox(own.db)
      const marks = Array.from({ length: 1_500 }, (_, n) => {
        const isLocked = n < lockedCount
        return `('billing', '${isLocked ? 'locked' : 'free'} ${n}', '2020-01-0${isLocked ? 1 : 2}')`
      })
      await own.pool.query(`insert into outbox_inbox (consumer, message_id, handled_at) values ${marks.join(', ')}`)
      await using _ = await locking(
        database.url,
        `select consumer from outbox_inbox where consumer = 'billing' and message_id like 'locked%' for update`,
      )
      await expectToPassOver(mysqlInbox({ db: own.db }))
    })

    async function expectToPassOver(store: Pick<MysqlInbox, 'purge'>): Promise<void> {
      const purge = (limit: number) => store.purge({ olderThanMs: 0, limit, signal: AbortSignal.timeout(20_000) })
      expect(await purge(1)).toBe(1)
      expect(await purge(249)).toBe(249)
      expect(await purge(Infinity)).toBe(50)
      expect(await purge(Infinity)).toBe(0)
    }

    /** Holds the locks of a statement until it is disposed of. */
    async function locking(url: string, statement: string): Promise<AsyncDisposable> {
      const connection = await createConnection(url)
      await connection.query('begin')
      await connection.query(statement)
      return { [Symbol.asyncDispose]: () => connection.end() }
    }

    test('a message that is handled again while its old mark is purged stays marked', async () => {
      await using database = await ownDatabase(server)
      await using own = openMysql(database.url)
      const inbox = mysqlInbox({ db: own.db })
      await setupInbox(own.db)
      const once = (messageId: string) =>
        own.db.transaction((tx) => inbox.once(tx, 'billing', messageId, () => undefined))
      await Promise.all([once('handled again'), once('old')])
      await own.pool.query('update outbox_inbox set handled_at = handled_at - interval 1 hour')
      const slow = mysqlInbox({
        db: {
          async execute(query: SQL) {
            if (dialect.sqlToQuery(query).sql.startsWith('delete')) {
              await own.pool.query(`delete from outbox_inbox where message_id = 'handled again'`)
              expect(await once('handled again')).toBe(true)
            }
            return own.db.execute(query)
          },
        },
      })
      expect(await slow.purge({ olderThanMs: 60_000, limit: 10 })).toBe(1)
      expect(await once('handled again')).toBe(false)
      expect(await once('old')).toBe(true)
    })
  })
}
