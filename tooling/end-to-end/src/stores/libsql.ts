import { type Client, createClient } from '@libsql/client'
import type { DomainEvent, Receipt } from '@outbox/core'
import { setup, sqliteOutbox } from '@outbox/drizzle/sqlite'
import { sql } from 'drizzle-orm'
import { drizzle, type LibSQLDatabase } from 'drizzle-orm/libsql'
import { sqliteTable, text } from 'drizzle-orm/sqlite-core'
import type { Application } from '../application.ts'

const committed = sqliteTable('committed', { eventId: text('event_id').primaryKey() })

function connect(file: string): LibSQLDatabase & { readonly $client: Client } {
  return drizzle({ client: createClient({ url: `file:${file}`, timeout: 10_000 }) })
}

/** An application on libsql. Its transactions run one after the other, as they must within one process. */
export function openLibsql(file: string): Application {
  const db = connect(file)
  const outbox = sqliteOutbox({ db })
  let last: Promise<unknown> = Promise.resolve()
  const write = (events: readonly DomainEvent[], beforeEnd: () => void): Promise<readonly Receipt[]> => {
    const next = last.then(() =>
      db.transaction(async (tx) => {
        const receipts = await outbox.enqueue(tx, events)
        await tx.insert(committed).values(receipts.map(({ id }) => ({ eventId: id })))
        beforeEnd()
        return receipts
      }),
    )
    last = next.catch(() => undefined) // told to whoever began it
    return next
  }
  return {
    outbox,
    write,
    commit: (...events) => write(events, () => undefined),
    committed: async () => (await db.select().from(committed)).map(({ eventId }) => eventId),
    endings: async () => {
      const rows = await db.all<{ ending: string }>(
        sql`select id || ' ' || coalesce(settled_at, '') as ending from outbox_entries left join outbox_settled using (position) order by id`,
      )
      return rows.map(({ ending }) => ending)
    },
    [Symbol.asyncDispose]: async () => db.$client.close(),
  }
}

export async function createLibsql(file: string): Promise<Application> {
  const db = connect(file)
  await db.run('pragma journal_mode = wal')
  await db.run('create table committed (event_id text primary key)')
  await setup(db)
  db.$client.close()
  return openLibsql(file)
}
