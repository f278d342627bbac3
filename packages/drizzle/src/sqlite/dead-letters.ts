import type { DeadLetter, DeadLetterFilter } from '@outbox/core'
import { type AggregateName, aggregateOf, dropIdleAggregates } from './aggregates.ts'
import { contentColumns, entryAt, lentContentOf } from './content.ts'
import type { TableNames } from './names.ts'
import { becomePending } from './pending.ts'
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
  const { entries, settled, settledDead } = names
  const conditions = conditionsOf(page.where ?? {})
  if (page.after !== undefined) {
    conditions.push([`s.position > (SELECT position FROM ${entries} WHERE id = ?)`, page.after.toLowerCase()])
  }
  const rows = yield* query(
    `SELECT ${contentColumns}, s.refused, s.reason, s.settled_at, s.settled_by
     FROM ${settled} s INDEXED BY ${settledDead} ${entryAt(names, 's.position')}
     WHERE ${["s.outcome = 'dead'", ...conditions.map(([condition]) => condition)].join(' AND ')}
     ORDER BY s.position LIMIT ?`,
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
  return diedBefore === undefined ? named : [...named, ['s.settled_at < ?', diedBefore.getTime()]]
}

function deadLetter(row: Row): DeadLetter {
  return {
    entry: {
      ...lentContentOf(row, { refused: integerOf(row, 'refused'), crashes: 0 }),
      partition: integerOf(row, 'partition'),
    },
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
  const { entries, entriesById, settled, settledDead, aggregates } = names
  const dead = yield* deadAmong(names, ids)
  const deadIds = dead.map(({ id }) => id)
  yield* query(
    `DELETE FROM ${settled} INDEXED BY ${settledDead}
     WHERE outcome = 'dead' AND position IN (SELECT value FROM json_each(?))`,
    JSON.stringify(dead.map(({ position }) => position)),
  )
  yield* query(
    `UPDATE ${entries} INDEXED BY ${entriesById} SET requeues = requeues + 1
     WHERE id IN (SELECT value FROM json_each(?))`,
    idList(deadIds),
  )
  yield becomePending(names, deadIds)
  for (const { id, aggregateType, aggregateId } of dead) {
    yield* query(
      `UPDATE ${aggregates} SET blocked_by = ${without}, waiting_until = 0 WHERE aggregate_type = ? AND aggregate_id = ?`,
      id,
      aggregateType,
      aggregateId,
    )
  }
  return dead.length
}

/**
 * `DeadLetters.discard`: the entry is kept, and its id known, until it is purged. An aggregate that it blocked goes
 * on; one that waits for another reason waits on.
 */
export function* discard(names: TableNames, ids: readonly string[]): Steps<number> {
  const dead = yield* deadAmong(names, ids)
  yield* query(
    `UPDATE ${names.settled} INDEXED BY ${names.settledDead} SET outcome = 'discarded', settled_at = ${nowMs}
     WHERE outcome = 'dead' AND position IN (SELECT value FROM json_each(?))`,
    JSON.stringify(dead.map(({ position }) => position)),
  )
  for (const { id, aggregateType, aggregateId } of dead) {
    yield* query(
      `UPDATE ${names.aggregates} SET blocked_by = ${without}, waiting_until = 0
       WHERE aggregate_type = ? AND aggregate_id = ? AND ? IN (SELECT value FROM json_each(blocked_by))`,
      id,
      aggregateType,
      aggregateId,
      id,
    )
  }
  yield* dropIdleAggregates(names, dead)
  return dead.length
}

interface DeadEntry extends AggregateName {
  readonly id: string
  readonly position: number
}

/** Those of the entries that are dead, each once. */
function* deadAmong(
  { entries, entriesById, settled }: TableNames,
  ids: readonly string[],
): Steps<readonly DeadEntry[]> {
  const rows = yield* query(
    `SELECT e.position, e.id, e.aggregate_type, e.aggregate_id
     FROM ${entries} e INDEXED BY ${entriesById}
     WHERE e.id IN (SELECT value FROM json_each(?))
       AND (SELECT outcome FROM ${settled} WHERE position = e.position) = 'dead'`,
    idList(ids),
  )
  return rows.map((row) => ({ ...aggregateOf(row), id: textOf(row, 'id'), position: integerOf(row, 'position') }))
}

/** The entries that block an aggregate, without one of them. */
const without = '(SELECT json_group_array(value) FROM json_each(blocked_by) WHERE value <> ?)'

/** Ids stand in the table in lower case. */
export function idList(ids: readonly string[]): string {
  return JSON.stringify(ids.map((id) => id.toLowerCase()))
}
