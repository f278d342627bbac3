import type { Awaitable, InboxStore } from '@outbox/core'
import { checkDelivery, checkedPurge, checkHandled, knownOptions } from '@outbox/core/adapter'
import { check, inboxSubject } from './check.ts'
import { translated } from './errors.ts'
import { checkDatabase, checkTransaction, type MysqlDatabase, type MysqlTransaction } from './handles.ts'
import { textLiteral } from './literals.ts'
import { type Names, namesIn, type Place, placeOptions } from './names.ts'
import { writeWhileOpen } from './open-transaction.ts'
import type { Purpose } from './privileges.ts'
import { purgeInbox } from './purge.ts'
import { watch } from './same-transaction.ts'
import { sessionOn } from './session.ts'

export interface MysqlInboxOptions extends Place {
  /** the drizzle database whose transactions `once` gets; `check` and `purge` run on it, and nothing closes it */
  readonly db: MysqlDatabase
}

/** An inbox in MySQL or MariaDB. */
export interface MysqlInbox extends InboxStore<MysqlTransaction> {
  readonly once: (
    tx: MysqlTransaction,
    consumer: string,
    messageId: string,
    handler: () => Awaitable<unknown>,
  ) => Promise<boolean>
}

/**
 * An inbox in MySQL or MariaDB: one row per consumer and message, written in the transaction in which the handler runs.
 *
 * A delivery of a message that is being handled elsewhere waits for that transaction to end, at every isolation level.
 * With MariaDB's `innodb_snapshot_isolation`, one whose transaction has read before that is then told `busy`.
 *
 * Await `once` inside the transaction, and let a deadlock end that: a handler that catches it, and goes on, writes
 * outside of every transaction. When the handler has ended, the server is asked whether the transaction is still open in
 * which the message was marked: one round trip.
 *
 * @example
 * ```ts
 * const inbox = mysqlInbox({ db })
 * const isFirst = await db.transaction((tx) =>
 *   inbox.once(tx, 'billing', message.id, async () => {
 *     await tx.insert(invoices).values({ orderId: message.aggregateId })
 *   }),
 * )
 * ```
 * @throws {OutboxError} `invalid-option`, naming the option and what to write instead
 */
export function mysqlInbox(options: MysqlInboxOptions): MysqlInbox {
  const given = knownOptions('mysqlInbox', options, { ...placeOptions, db: true })
  const { db } = given
  checkDatabase(db)
  const names = namesIn(given)
  const purpose: Purpose = { names, use: 'inbox' }
  const reading = sessionOn(db, purpose)
  const purging = sessionOn(db, { names, use: 'inboxPurge' })

  return Object.freeze({
    async once(tx: MysqlTransaction, consumer: string, messageId: string, handler: () => Awaitable<unknown>) {
      checkDelivery(consumer, messageId, handler)
      checkTransaction(tx, 'once')
      const watched = watch(tx, purpose)
      try {
        const marking = mark(tx, purpose, consumer, messageId)
        const [begun, marked] = await Promise.allSettled([watched.begun, marking])
        if (marked.status === 'rejected') throw marked.reason
        if (begun.status === 'rejected') throw translated(begun.reason, purpose)
        if (!marked.value) return false
        checkHandled(await handler())
        await watched.check()
        return true
      } finally {
        watched.end()
      }
    },
    check: (call) => check(reading, inboxSubject(names), call),
    purge: async (request) => purgeInbox(purging, names, checkedPurge(request)),
  } satisfies MysqlInbox)
}

/** @returns whether the mark is new */
async function mark(tx: MysqlTransaction, purpose: Purpose, consumer: string, messageId: string): Promise<boolean> {
  const written = await writeWhileOpen(tx, markStatement(purpose.names, consumer, messageId), purpose)
  return written.insertId !== duplicate
}

const duplicate = 1

/**
 * The update changes nothing; what it gives to `last_insert_id` tells that there was something to update. A plain
 * insert that fails on a row takes a lock that others can take too, and of those who waited for a transaction that was
 * rolled back all but one would meet a deadlock.
 */
function markStatement({ inbox }: Names, consumer: string, messageId: string): string {
  return `insert into ${inbox} (consumer, message_id) values (${textLiteral(consumer)}, ${textLiteral(messageId)})
on duplicate key update handled_at = if(last_insert_id(${duplicate}) = ${duplicate}, handled_at, handled_at)`
}
