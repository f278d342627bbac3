import { OutboxError } from '@outbox/core'
import { endedUnderHandler } from '@outbox/core/adapter'
import { finishedTransaction } from '../shared/handles.ts'
import { saysTransactionFailed } from './errors.ts'
import { type Row, textIn, textOrNullIn } from './rows.ts'
import type { Session } from './session.ts'
import { literal, type Statement } from './statement.ts'

/**
 * How a statement itself tells that a transaction is open on its handle. A handle goes on working after its transaction
 * has ended, and would commit every statement on its own; a look beforehand would not do, because the transaction may
 * end between the look and the statement (the forgotten await).
 *
 * - `clock`: a statement that is a transaction of its own begins when that begins. No round trip. This holds for the
 *   simple query protocol alone: with bound parameters the two times differ always. So the values of this one
 *   statement are written into it.
 * - `setting`: one that lasts until the end of the transaction, made by a statement of its own just before. It says
 *   when the transaction began, so that calls at once make the same one. For PGlite and drivers that the outbox does
 *   not know.
 */
export type OpenCheck = 'clock' | 'setting'

/** SQL, for a statement that travels as a simple query. Where it does not hold, a transaction may be open all the same. */
export const isOpenByClock = 'transaction_timestamp() <> statement_timestamp()'

/**
 * Runs one statement on a transaction's handle.
 *
 * @param statementWhere - makes the statement, given the condition in SQL without which it must write nothing
 * @param wasOpen - whether the rows tell that the condition held
 * @throws {OutboxError} `not-a-transaction` if no transaction was open; nothing was written
 */
export async function runWhileOpen(
  session: Session,
  openCheck: OpenCheck,
  statementWhere: (isOpen: string) => Statement,
  wasOpen: (rows: readonly Row[]) => boolean,
): Promise<readonly Row[]> {
  if (openCheck === 'clock') {
    const rows = await session.runInlined(statementWhere(isOpenByClock))
    // a server with a coarse clock (PGlite behind a socket) may have begun both at once: the setting tells for sure
    if (wasOpen(rows)) return rows
  }
  const marking = `select set_config('outbox.transaction', transaction_timestamp()::text, true) as mark`
  const [marked] = await session.run({ text: marking, values: [] })
  if (!marked) throw new TypeError('The transaction was given no mark.')
  // in a transaction that was begun meanwhile on the same connection it is another
  const isOpen = `current_setting('outbox.transaction', true) = ${literal(textIn(marked, 'mark'))}`
  const rows = await session.runInlined(statementWhere(isOpen))
  if (!wasOpen(rows)) throw finishedTransaction()
  return rows
}

/**
 * SQL that notes an id in a setting which PostgreSQL undoes with whatever undoes the rest: it is there until the
 * transaction ends, or goes back to a savepoint from before. To read the table would tell no more, and at SERIALIZABLE
 * would set transactions against each other.
 */
export function noting(id: string): string {
  return `set_config('${notes}', concat_ws(' ', nullif(current_setting('${notes}', true), ''), ${literal(id)}), true)`
}

/**
 * Makes sure that what was written together with `noting(id)` still stands: the transaction is open, and did not go back
 * to a savepoint from before.
 *
 * @throws {OutboxError} `not-a-transaction`
 */
export async function checkStillNoted(session: Session, id: string): Promise<void> {
  const text = `select current_setting('${notes}', true) as notes`
  const [asked] = await Promise.allSettled([session.runInlined({ text, values: [] })])
  if (asked.status === 'rejected') {
    throw saysOver(asked.reason) ? endedUnderHandler({ cause: asked.reason }) : asked.reason
  }
  const [row] = asked.value
  if (!row || !textOrNullIn(row, 'notes')?.split(' ').includes(id)) throw endedUnderHandler()
}

const notes = 'outbox.notes'

/** An earlier statement failed, so that the commit will be a rollback; or the driver itself refuses the handle. */
function saysOver(error: unknown): boolean {
  return saysTransactionFailed(error) || OutboxError.is(error, 'not-a-transaction')
}
