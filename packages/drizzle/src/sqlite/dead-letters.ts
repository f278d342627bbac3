import type { DeadLetter, DeadLetterFilter } from '@outbox/core'
import { aggregateOf, dropIdleAggregates } from './aggregates.ts'
import { contentColumns, lentContentOf } from './content.ts'
import type { TableNames } from './names.ts'
import { dateOf, integerOf, textOf } from './rows.ts'
import { nowMs, rowLimit } from './sql.ts'
import { query, type Row, type SqlValue, type Steps } from './steps.ts'

/**
 * `DeadLetters.list`. The entry of `after` keeps its position when it is requeued or discarded between two pages.
 *
 * Plan: the index of dead entries, which is in the order of positions.
 */
export function* listDead(
  names: TableNames,
  page: { readonly after?: string; readonly limit: number; readonly where?: DeadLetterFilter },
): Steps<readonly DeadLetter[]> {
  const { entries } = names
  const conditions = conditionsOf(page.where ?? {})
  if (page.after !== undefined) {
    conditions.push([`e.position > (SELECT position FROM ${entries} WHERE id = ?)`, page.after.toLowerCase()])
  }
  const rows = yield* query(
    `SELECT ${contentColumns}, e.reason, e.settled_at, e.settled_by FROM ${entries} e
     WHERE ${["e.state = 'dead'", ...conditions.map(([condition]) => condition)].join(' AND ')}
     ORDER BY e.position LIMIT ?`,
    ...conditions.map(([, value]) => value),
    rowLimit(page.limit),
  )
  return rows.map(deadLetter)
}

/** What the filter asks for, each with its value. */
function conditionsOf(where: DeadLetterFilter): (readonly [condition: string, value: SqlValue])[] {
  const { eventType, aggregateType, aggregateId, diedBefore } = where
  const texts = { event_type: eventType, aggregate_type: aggregateType, aggregate_id: aggregateId }
  const named = Object.entries(texts).flatMap(([column, value]) =>
    value === undefined ? [] : [[`e.${column} = ?`, value] as const],
  )
  return diedBefore === undefined ? named : [...named, ['e.settled_at < ?', diedBefore.getTime()]]
}

function deadLetter(row: Row): DeadLetter {
  return {
    entry: { ...lentContentOf(row), partition: integerOf(row, 'partition') },
    reason: textOf(row, 'reason'),
    diedAt: dateOf(row, 'settled_at'),
    holder: textOf(row, 'settled_by'),
  }
}

/**
 * `DeadLetters.requeue`. Where the aggregate has a row of its own, the entry is parked like its other entries; else
 * its old position puts it first in the scan.
 */
export function* requeue(names: TableNames, ids: readonly string[]): Steps<number> {
  const { entries, aggregates } = names
  const rows = yield* query(
    `UPDATE ${entries} AS e
     SET state = CASE WHEN EXISTS (
           SELECT 1 FROM ${aggregates} a
           WHERE a.aggregate_type = e.aggregate_type AND a.aggregate_id = e.aggregate_id)
         THEN 'parked' ELSE 'pending' END,
       refused = 0, crashes = 0, requeues = requeues + 1, settled_at = NULL, settled_by = NULL, reason = NULL
     WHERE id IN (SELECT value FROM json_each(?)) AND state = 'dead'
     RETURNING id, aggregate_type, aggregate_id`,
    idList(ids),
  )
  for (const row of rows) {
    yield* query(
      `UPDATE ${aggregates} SET blocked_by = ${without}, waiting_until = 0 WHERE aggregate_type = ? AND aggregate_id = ?`,
      textOf(row, 'id'),
      textOf(row, 'aggregate_type'),
      textOf(row, 'aggregate_id'),
    )
  }
  return rows.length
}

/**
 * `DeadLetters.discard`: the entry is kept, and its id known, until it is purged. An aggregate that it blocked goes
 * on; one that waits for another reason waits on.
 */
export function* discard(names: TableNames, ids: readonly string[]): Steps<number> {
  const rows = yield* query(
    `UPDATE ${names.entries} SET state = 'discarded', settled_at = ${nowMs}
     WHERE id IN (SELECT value FROM json_each(?)) AND state = 'dead'
     RETURNING id, aggregate_type, aggregate_id`,
    idList(ids),
  )
  for (const row of rows) {
    yield* query(
      `UPDATE ${names.aggregates} SET blocked_by = ${without}, waiting_until = 0
       WHERE aggregate_type = ? AND aggregate_id = ? AND ? IN (SELECT value FROM json_each(blocked_by))`,
      textOf(row, 'id'),
      textOf(row, 'aggregate_type'),
      textOf(row, 'aggregate_id'),
      textOf(row, 'id'),
    )
  }
  yield* dropIdleAggregates(names, rows.map(aggregateOf))
  return rows.length
}

/** The entries that block an aggregate, without one of them. */
const without = '(SELECT json_group_array(value) FROM json_each(blocked_by) WHERE value <> ?)'

/** Ids stand in the table in lower case. */
export function idList(ids: readonly string[]): string {
  return JSON.stringify(ids.map((id) => id.toLowerCase()))
}
