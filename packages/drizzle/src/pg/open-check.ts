import { finishedTransaction } from '../shared/handles.ts'
import type { Row } from './rows.ts'
import type { Session } from './session.ts'
import type { Statement } from './statement.ts'

/**
 * How a statement itself tells that a transaction is open on its handle. A handle goes on working after its transaction
 * has ended, and would commit every statement on its own; a look beforehand would not do, because the transaction may
 * end between the look and the statement (the forgotten await).
 *
 * - `clock`: a statement that is a transaction of its own begins when that begins. No round trip. This holds for the
 *   simple query protocol alone: with bound parameters the two times differ always. So the values of this one
 *   statement are written into it.
 * - `setting`: one that lasts until the end of the transaction, made by a statement of its own just before. For PGlite
 *   and drivers that the outbox does not know.
 */
export type OpenCheck = 'clock' | 'setting'

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
    const rows = await session.runInlined(statementWhere('transaction_timestamp() <> statement_timestamp()'))
    // a server with a coarse clock (PGlite behind a socket) may have begun both at once: the setting tells for sure
    if (wasOpen(rows)) return rows
  }
  // a uuid of ours: nothing in it needs quoting
  const mark = crypto.randomUUID()
  await session.run({ text: `select set_config('outbox.transaction', $1::text, true)`, values: [mark] })
  const rows = await session.runInlined(statementWhere(`current_setting('outbox.transaction', true) = '${mark}'`))
  if (!wasOpen(rows)) throw finishedTransaction()
  return rows
}
