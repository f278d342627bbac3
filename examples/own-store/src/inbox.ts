import { type InboxStore, OutboxError } from '@outbox/core'
import { checkDelivery, checkedPurge, checkHandled, isThenable } from '@outbox/core/adapter'
import { type Connection, sqlOf, type Transaction } from './connection.ts'
import { rowLimit } from './rows.ts'
import { checkTables } from './tables.ts'

// #region inbox
/** An inbox in an SQLite file: the handler's effect and the mark are one transaction. Synchronous, as the driver is. */
export interface OwnInbox extends InboxStore<Transaction> {
  readonly once: (tx: Transaction, consumer: string, messageId: string, handler: () => void) => boolean
}

export function ownInbox({ connection }: { readonly connection: Connection }): OwnInbox {
  return {
    once(tx, consumer, messageId, handler) {
      checkDelivery(consumer, messageId, handler)
      const { changes } = sqlOf(tx).run`
        INSERT INTO outbox_inbox (consumer, message_id) VALUES (${consumer}, ${messageId}) ON CONFLICT DO NOTHING`
      if (changes === 0) return false
      const result: unknown = handler()
      if (isThenable(result)) throw asynchronous()
      checkHandled(result)
      return true
    },
    async check(call) {
      call?.signal?.throwIfAborted()
      checkTables(connection, ['outbox_inbox'])
    },
    async purge(request) {
      const { olderThanMs, limit, signal } = checkedPurge(request)
      signal?.throwIfAborted()
      return connection.transaction(({ sql }) => {
        const { changes } = sql.run`
          DELETE FROM outbox_inbox WHERE rowid IN (
            SELECT rowid FROM outbox_inbox WHERE handled_at <= unixepoch('subsec') * 1000 - ${olderThanMs}
            ORDER BY handled_at LIMIT ${rowLimit(limit)})`
        return Number(changes)
      })
    },
  }
}
// #endregion

function asynchronous(): OutboxError<'invalid-option'> {
  const message =
    'once(): the handler returned a promise or a query, and the transaction will not wait for it. Roll back.'
  return new OutboxError('invalid-option', message, { option: 'handler' })
}
