import type { Awaitable, InboxStore } from '@outbox/core'
import { checkDelivery, checkedPurge, checkHandled, knownOptions } from '@outbox/core/adapter'
import { check, inboxSubject } from './check.ts'
import { checkDatabase, checkTransaction, type PgDatabase, type PgTransaction } from './handles.ts'
import { sendsSimpleQueries } from './listen.ts'
import { type Names, namesIn, type Place, placeOptions } from './names.ts'
import { checkStillNoted, noting, type OpenCheck, runWhileOpen } from './open-check.ts'
import { purge } from './purge.ts'
import { numberIn, type Row } from './rows.ts'
import { sessionOf } from './session.ts'
import type { Statement } from './statement.ts'

export interface PgInboxOptions extends Place {
  /** the drizzle database whose transactions `once` gets; `check` and `purge` run on it, and nothing closes it */
  readonly db: PgDatabase
}

/** An inbox in PostgreSQL. */
export interface PgInbox extends InboxStore<PgTransaction> {
  readonly once: (
    tx: PgTransaction,
    consumer: string,
    messageId: string,
    handler: () => Awaitable<unknown>,
  ) => Promise<boolean>
}

/**
 * An inbox in PostgreSQL: one row per consumer and message, written in the transaction in which the handler runs.
 *
 * A delivery of a message that is being handled elsewhere waits for that transaction to end. At REPEATABLE READ and
 * SERIALIZABLE it is told `busy` if that one commits, and returns false when it is run again.
 *
 * Await `once` inside the transaction. When the handler has ended, PostgreSQL is asked whether the mark still
 * stands, or was undone with its transaction or a savepoint: one round trip.
 *
 * @example
 * ```ts
 * const inbox = pgInbox({ db })
 * const isFirst = await db.transaction((tx) =>
 *   inbox.once(tx, 'billing', message.id, async () => {
 *     await tx.insert(invoices).values({ orderId: message.aggregateId })
 *   }),
 * )
 * ```
 * @throws {OutboxError} `invalid-option`, naming the option and what to write instead
 */
export function pgInbox(options: PgInboxOptions): PgInbox {
  const given = knownOptions('pgInbox', options, { ...placeOptions, db: true })
  const { db } = given
  checkDatabase(db)
  const names = namesIn(given)
  const openCheck: OpenCheck = sendsSimpleQueries(db.$client) ? 'clock' : 'setting'
  const reading = sessionOf(db, { names, use: 'inbox' })
  const purging = sessionOf(db, { names, use: 'inboxPurge' })

  return Object.freeze({
    async once(tx: PgTransaction, consumer: string, messageId: string, handler: () => Awaitable<unknown>) {
      checkDelivery(consumer, messageId, handler)
      checkTransaction(tx, 'once')
      const session = sessionOf(tx, { names, use: 'inbox' })
      const note = crypto.randomUUID()
      const statementWhere = (isOpen: string): Statement => markStatement(names, consumer, messageId, note, isOpen)
      const wasOpen = ([row]: readonly Row[]): boolean => row !== undefined && numberIn(row, 'open') > 0
      const [row] = await runWhileOpen(session, openCheck, statementWhere, wasOpen)
      if (!row || numberIn(row, 'marked') === 0) return false
      checkHandled(await handler())
      await checkStillNoted(session, note)
      return true
    },
    check: (call) => check(reading, inboxSubject(names), call),
    purge: async (request) =>
      purge(
        purging,
        { table: names.inbox, key: ['consumer', 'message_id'], time: 'handled_at' },
        checkedPurge(request),
      ),
  } satisfies PgInbox)
}

/** The conflict's columns are named, so that a table without its key is an error and not an inbox that forgets. */
function markStatement({ inbox }: Names, consumer: string, messageId: string, note: string, isOpen: string): Statement {
  const text = `
with open as materialized (
  select 1 where ${isOpen}
),
marked as (
  insert into ${inbox} (consumer, message_id) select $1::text, $2::text from open
  on conflict (consumer, message_id) do nothing
  returning 1
),
noted as materialized (
  select ${noting(note)} from marked
)
select (select count(*) from open)::int as open, (select count(*) from noted)::int as marked`
  return { text, values: [consumer, messageId] }
}
