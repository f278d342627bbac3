import type { DomainEvent, Receipt } from '@outbox/core'
import { type Engine, type PgOutbox, pgOutbox, setup } from '@outbox/drizzle/pg'
import { sql } from 'drizzle-orm'
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'
import { pgTable, text } from 'drizzle-orm/pg-core'
import type { Application } from '../application.ts'

const committed = pgTable('committed', { eventId: text('event_id').primaryKey() })

/** An application on PostgreSQL, through whichever of drizzle's drivers `db` is made of. */
export interface PgApplication extends Application {
  readonly outbox: PgOutbox
}

export interface PgApplicationOptions {
  /** PGlite behind a socket: every statement waits for the one before it, so nobody listens for wake-ups */
  readonly hasOneSession?: boolean
  readonly engine?: Engine
}

export function pgApplication<Result extends PgQueryResultHKT>(
  db: PgDatabase<Result>,
  close: () => Promise<void>,
  { hasOneSession = false, engine = 'mark' }: PgApplicationOptions = {},
): PgApplication {
  const outbox = pgOutbox({ db, engine, ...(hasOneSession ? { listen: false, notify: 'off' } : {}) })
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
      const ending = sql<string>`id || ' ' || coalesce(settled_at::text, '')`
      const entries = await db.select({ ending }).from(sql`outbox_entries`).orderBy(sql`id`)
      if (engine === 'mark') return entries.map((row) => row.ending)
      const place = sql<string>`concat_ws(' ', partition, since, until, position)`
      const cursors = await db.select({ place }).from(sql`outbox_log_cursors`).orderBy(sql`partition`)
      return [...entries.map((row) => row.ending), ...cursors.map((row) => row.place)]
    },
    [Symbol.asyncDispose]: close,
  }
}

export async function setUpPg<Result extends PgQueryResultHKT>(
  db: PgDatabase<Result>,
  { engine = 'mark' }: PgApplicationOptions = {},
): Promise<void> {
  await db.execute(sql`create table committed (event_id text primary key)`)
  await setup(db, { engine })
}
