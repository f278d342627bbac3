import type { TableNames } from './names.ts'
import { integerOf } from './rows.ts'
import { nowMs, wholeAge } from './sql.ts'
import { query, type Steps } from './steps.ts'
import { writeLock } from './transact.ts'

/**
 * Marks a message as handled. @returns false if it was already
 *
 * The conflict's columns are named, so that a table without its key is an error and not an inbox that forgets.
 */
export function* mark({ inbox }: TableNames, consumer: string, messageId: string): Steps<boolean> {
  yield writeLock(inbox, 'consumer')
  const rows = yield* query(
    `INSERT INTO ${inbox} (consumer, message_id) VALUES (?, ?) ON CONFLICT (consumer, message_id) DO NOTHING RETURNING 1`,
    consumer,
    messageId,
  )
  return rows.length > 0
}

export function* isMarked({ inbox }: TableNames, consumer: string, messageId: string): Steps<boolean> {
  const rows = yield* query(`SELECT 1 FROM ${inbox} WHERE consumer = ? AND message_id = ?`, consumer, messageId)
  return rows.length > 0
}

/** One step of `InboxStore.purge`. Plan: the index by time, up to the last found. */
export function* purgeMarks({ inbox, inboxHandled }: TableNames, olderThanMs: number, limit: number): Steps<number> {
  const rows = yield* query(
    `SELECT rowid AS place, handled_at FROM ${inbox} INDEXED BY ${inboxHandled}
     WHERE handled_at <= ${nowMs} - ? ORDER BY handled_at LIMIT ?`,
    wholeAge(olderThanMs),
    limit,
  )
  const last = rows.at(-1)
  if (!last) return 0
  yield* query(
    `DELETE FROM ${inbox} INDEXED BY ${inboxHandled}
     WHERE handled_at <= ? AND +rowid IN (SELECT value FROM json_each(?))`,
    integerOf(last, 'handled_at'),
    JSON.stringify(rows.map((row) => integerOf(row, 'place'))),
  )
  return rows.length
}
