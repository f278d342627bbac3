import { mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { createMysqlDatabase, describeWith, sharedServer, type TestDatabase } from '@outbox/services'
import { drizzle } from 'drizzle-orm/mysql2'
import { createPool, type Pool } from 'mysql2/promise'
import { afterAll, beforeAll } from 'vitest'
import { describeModel } from '../src/index.ts'

const tables = ['entries', 'sequences', 'aggregates', 'relays', 'leases', 'meta', 'inbox']

for (const server of ['mariadb', 'mysql'] as const) {
  describeWith(server, server, () => {
    let database: TestDatabase
    let pool: Pool
    beforeAll(async () => {
      database = await createMysqlDatabase(await sharedServer(server))
      pool = createPool({ uri: database.url, connectionLimit: 4 })
    })
    afterAll(async () => {
      await pool.end()
      await database[Symbol.asyncDispose]()
    })

    let histories = 0
    describeModel(
      server,
      async () => {
        const place = { prefix: `history${++histories}_` }
        const db = drizzle({ client: pool })
        await setup(db, place)
        return {
          store: mysqlOutbox({ db, ...place }),
          transaction: (work) => db.transaction(async (tx) => work(tx)),
          close: async () => {
            await pool.query(`drop table if exists ${tables.map((table) => place.prefix + table).join(', ')}`)
          },
        }
      },
      {
        capabilities: {
          concurrentTransactions: { leftOut: 'InnoDB locks more than the model knows of; not compared yet' },
        },
      },
    )
  })
}
