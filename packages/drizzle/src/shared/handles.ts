import { OutboxError } from '@outbox/core'

/** The error for a database where a transaction is needed. */
export function notATransaction(method: 'enqueue' | 'once'): OutboxError<'not-a-transaction'> {
  return new OutboxError(
    'not-a-transaction',
    `${method} was given a database, not a transaction. Pass the tx of db.transaction(async (tx) => …), or name the handle with asTransaction(…) if a transaction is open on it. Nothing was written.`,
    { reason: 'no-transaction' },
  )
}

/** The error for a handle on which no transaction is open (any more). */
export function finishedTransaction(options?: ErrorOptions): OutboxError<'not-a-transaction'> {
  return new OutboxError(
    'not-a-transaction',
    'No transaction is open on this handle: it has been committed or rolled back already, or was never begun. Is an await missing inside the callback of db.transaction? Nothing was written.',
    { reason: 'finished' },
    options,
  )
}

/** The error for an option `db` that is none. */
export function refusedDatabase(why: string): OutboxError<'invalid-option'> {
  return new OutboxError('invalid-option', `The option db ${why}`, { option: 'db' })
}

/** The rollback of a handle that `asTransaction` named. */
export function rollbackElsewhere(): never {
  throw new Error('This transaction was opened by other means: roll it back by the same.')
}
