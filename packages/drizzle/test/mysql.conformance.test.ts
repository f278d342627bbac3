import { describeStore } from '@outbox/conformance'
import { describeWith, type TestDatabase } from '@outbox/services'
import { afterAll, beforeAll } from 'vitest'
import { openMysql, openMysqlRc, ownDatabase } from './mysql-databases.ts'
import { outboxHarness } from './mysql-harness.ts'

describeWith('mysql', 'MySQL', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await ownDatabase('mysql')
  })
  afterAll(() => database[Symbol.asyncDispose]())

  describeStore(
    'MySQL, drizzle 1.0',
    outboxHarness(() => openMysqlRc(database.url)),
  )
})

describeWith('mariadb', 'MariaDB', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await ownDatabase('mariadb')
  })
  afterAll(() => database[Symbol.asyncDispose]())

  describeStore(
    'MariaDB, drizzle 0.45',
    outboxHarness(() => openMysql(database.url)),
  )
})
