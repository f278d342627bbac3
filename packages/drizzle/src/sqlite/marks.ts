import type { TableNames } from './names.ts'
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

/** One step of `InboxStore.purge`. Plan: the index by time. */
export function* purgeMarks({ inbox }: TableNames, olderThanMs: number, limit: number): Steps<number> {
  const rows = yield* query(
    `DELETE FROM ${inbox} WHERE rowid IN (
       SELECT rowid FROM ${inbox} WHERE handled_at <= ${nowMs} - ? ORDER BY handled_at LIMIT ?)
     RETURNING 1`,
    wholeAge(olderThanMs),
    limit,
  )
  return rows.length
}
