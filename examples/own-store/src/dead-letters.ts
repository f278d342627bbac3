import type { SQLTagStore } from 'node:sqlite'
import type { DeadLetter, DeadLetters } from '@outbox/core'
import { lentContent, number, type Row, rowLimit, text } from './rows.ts'
import { wait } from './settle.ts'

type Page = Parameters<DeadLetters['list']>[0]

/** `DeadLetters.list`. The entry of `after` keeps its position when it is requeued or discarded between two pages. */
export function listDead(sql: SQLTagStore, { limit, where = {}, ...page }: Page): readonly DeadLetter[] {
  const after = page.after?.toLowerCase() ?? null
  const { eventType = null, aggregateType = null, aggregateId = null } = where
  const diedBefore = where.diedBefore?.getTime() ?? null
  const rows = sql.all`
    SELECT * FROM outbox_entries
    WHERE state = 'dead'
      AND position > iif(${after} IS NULL, 0, (SELECT position FROM outbox_entries WHERE id = ${after}))
      AND event_type = coalesce(${eventType}, event_type)
      AND aggregate_type = coalesce(${aggregateType}, aggregate_type)
      AND aggregate_id = coalesce(${aggregateId}, aggregate_id)
      AND (${diedBefore} IS NULL OR settled_at < ${diedBefore})
    ORDER BY position LIMIT ${rowLimit(limit)}`
  return rows.map((row) => ({
    entry: { ...lentContent(row), partition: number(row, 'partition') },
    reason: text(row, 'reason'),
    diedAt: new Date(number(row, 'settled_at')),
    holder: text(row, 'settled_by'),
  }))
}

/** `DeadLetters.requeue`: another life at the old place. */
export function requeue(sql: SQLTagStore, ids: readonly string[]): number {
  const rows = ids.flatMap((id): readonly Row[] => {
    const row = sql.get`
      UPDATE outbox_entries
      SET state = 'pending', requeues = requeues + 1, refused = 0, crashes = 0, blocks = 0, settled_at = NULL
      WHERE id = ${id.toLowerCase()} AND state = 'dead'
      RETURNING *`
    return row ? [row] : []
  })
  for (const row of rows) wait(sql, row, 0)
  return rows.length
}

/** `DeadLetters.discard`: the row stays, and its id known, until it is purged. */
export function discard(sql: SQLTagStore, ids: readonly string[]): number {
  let discarded = 0
  for (const id of ids) {
    const { changes } = sql.run`
      UPDATE outbox_entries SET state = 'discarded', blocks = 0, settled_at = unixepoch('subsec') * 1000
      WHERE id = ${id.toLowerCase()} AND state = 'dead'`
    discarded += Number(changes)
  }
  return discarded
}
