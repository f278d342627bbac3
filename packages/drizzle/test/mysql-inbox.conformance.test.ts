import { describeInbox } from '@outbox/conformance'
import { describeWith, type TestDatabase } from '@outbox/services'
import { afterAll, beforeAll } from 'vitest'
import { openMysql, openMysqlRc, ownDatabase, servers } from './mysql-databases.ts'
import { inboxHarness } from './mysql-harness.ts'

for (const [title, server] of servers) {
  describeWith(server, title, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await ownDatabase(server)
    })
    afterAll(() => database[Symbol.asyncDispose]())

    describeInbox(
      `the inbox, drizzle ${server === 'mysql' ? '0.45' : '1.0'}`,
      inboxHarness(() => (server === 'mysql' ? openMysql(database.url) : openMysqlRc(database.url))),
    )
  })
}
