import type { DomainEvent, Receipt } from '@outbox/core'
import { mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { sql } from 'drizzle-orm'
import { mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { drizzle, type MySql2Database } from 'drizzle-orm/mysql2'
import { createPool, type Pool } from 'mysql2/promise'
import { type Application, poolSize } from '../application.ts'

const committed = mysqlTable('committed', { eventId: varchar('event_id', { length: 36 }).primaryKey() })

function connect(url: string): MySql2Database & { readonly $client: Pool } {
  return drizzle({ client: createPool({ uri: url, connectionLimit: poolSize }) })
}

/** An application on MySQL or MariaDB. */
export function openMysql(url: string): Application {
  const db = connect(url)
  const outbox = mysqlOutbox({ db })
  const write = (events: readonly DomainEvent[], beforeEnd: () => void): Promise<readonly Receipt[]> =>
    db.transaction(async (tx) => {
      const receipts = await outbox.enqueue(tx, events)
      await tx.insert(committed).values(receipts.map(({ id }) => ({ eventId: id })))
      beforeEnd()
      return receipts
    })
  return {
    outbox,
    write,
    commit: (...events) => write(events, () => undefined),
    committed: async () => (await db.select().from(committed)).map(({ eventId }) => eventId),
    endings: async () => {
      const ending = sql<string>`concat(id, ' ', coalesce(settled_at, ''))`
      const rows = await db.select({ ending }).from(sql`outbox_entries`).orderBy(sql`id`)
      return rows.map((row) => String(row.ending))
    },
    [Symbol.asyncDispose]: () => db.$client.end(),
  }
}

export async function createMysql(url: string): Promise<Application> {
  const db = connect(url)
  await db.execute(sql`create table committed (event_id varchar(36) primary key)`)
  await setup(db)
  await db.$client.end()
  return openMysql(url)
}
