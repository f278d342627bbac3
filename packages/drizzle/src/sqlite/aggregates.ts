import { aggregateKey } from '@outbox/core/adapter'
import type { TableNames } from './names.ts'
import { textOf } from './rows.ts'
import { query, type Row, type Steps } from './steps.ts'

export interface AggregateName {
  readonly aggregateType: string
  readonly aggregateId: string
}

export function aggregateOf(row: Row): AggregateName {
  return { aggregateType: textOf(row, 'aggregate_type'), aggregateId: textOf(row, 'aggregate_id') }
}

/** Each aggregate once, in the form in which statements take a list of them: `[[type, id], …]` as JSON. */
export function aggregateList(aggregates: readonly AggregateName[]): string {
  const distinct = new Map(aggregates.map((name) => [aggregateKey(name), [name.aggregateType, name.aggregateId]]))
  return JSON.stringify([...distinct.values()])
}

/**
 * Removes the rows of those aggregates that are not blocked and for which no parked entry is left: what they have
 * pending stands in the scan.
 *
 * Parked entries are the aggregate's lowest, nearly always, so the order index shows one at once if there is one.
 */
export function* dropIdleAggregates(
  { aggregates, pending, pendingOrder }: TableNames,
  touched: readonly AggregateName[],
): Steps<void> {
  if (touched.length === 0) return
  // nearly always there are none, and then the list need not be made
  const [any] = yield* query(`SELECT 1 FROM ${aggregates} LIMIT 1`)
  if (!any) return
  yield* query(
    `DELETE FROM ${aggregates} AS a
     WHERE rowid IN (
         SELECT (SELECT rowid FROM ${aggregates} WHERE aggregate_type = t.value ->> 0 AND aggregate_id = t.value ->> 1)
         FROM json_each(?) t)
       AND blocked_by = '[]'
       AND NOT EXISTS (
         SELECT 1 FROM ${pending} p INDEXED BY ${pendingOrder}
         WHERE p.partition = a.partition AND p.aggregate_type = a.aggregate_type AND p.aggregate_id = a.aggregate_id
           AND p.is_parked)`,
    aggregateList(touched),
  )
}
