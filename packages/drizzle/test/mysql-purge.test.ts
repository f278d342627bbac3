import { mysqlInbox, setupInbox } from '@outbox/drizzle/mysql'
import { describeWith } from '@outbox/services'
import type { SQL } from 'drizzle-orm'
import { MySqlDialect } from 'drizzle-orm/mysql-core'
import { expect, test } from 'vitest'
import { openMysql, ownDatabase, servers } from './mysql-databases.ts'

const dialect = new MySqlDialect()

for (const [title, server] of servers) {
  describeWith(server, `purge on ${title}`, () => {
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
