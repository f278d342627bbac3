import { mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { drizzle } from 'drizzle-orm/mysql2'
import { createPool, type RowDataPacket } from 'mysql2/promise'
import type { StoreModule } from './store.ts'

/** MySQL and MariaDB. */
export const mysqlStore: StoreModule = {
  title: 'MySQL',
  async create(url) {
    const pool = createPool({ uri: url })
    await setup(drizzle({ client: pool }))
    await pool.end()
  },
  async open(url) {
    const pool = createPool({ uri: url, connectionLimit: 10 })
    const db = drizzle({ client: pool })
    const outbox = mysqlOutbox({ db })
    return {
      outbox,
      commit: (events) => db.transaction((tx) => outbox.enqueue(tx, events)),
      async left() {
        const [rows] = await pool.query<RowDataPacket[]>(
          `select count(*) as n from outbox_entries where state <> 'published'`,
        )
        return Number(rows[0]?.['n'])
      },
      close: () => pool.end(),
    }
  },
}
