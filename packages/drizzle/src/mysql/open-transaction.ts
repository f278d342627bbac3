import { finishedTransaction } from '../shared/handles.ts'
import { saysTransactionIsOpen, translated } from './errors.ts'
import type { MysqlTransaction } from './handles.ts'
import type { Purpose } from './privileges.ts'
import { type Written, writtenOf } from './rows.ts'
import { send } from './session.ts'

/**
 * Runs a statement that writes on a transaction's handle, and only if a transaction is open there.
 *
 * A handle goes on working after its transaction has ended, and would commit every statement on its own; a look
 * beforehand would not do, because the transaction may end between the look and the statement (the forgotten await).
 * So the statement stands between two others, sent at once, and a connection takes what it is given in order. The
 * first says that the *next* transaction is read-only: inside of one the server refuses that, and nothing comes of
 * it; outside, the statement is a read-only transaction of its own, and fails. The last takes it back.
 *
 * @throws {OutboxError} `not-a-transaction` if none was open; nothing was written
 */
export async function writeWhileOpen(handle: MysqlTransaction, text: string, purpose: Purpose): Promise<Written> {
  const [guard, statement] = await Promise.allSettled([
    send(handle, 'set transaction read only'),
    send(handle, text),
    send(handle, 'set transaction read write'),
  ])
  if (guard.status === 'fulfilled') throw finishedTransaction()
  if (!saysTransactionIsOpen(guard.reason)) throw translated(guard.reason, purpose)
  if (statement.status === 'rejected') throw translated(statement.reason, purpose)
  return writtenOf(statement.value)
}
