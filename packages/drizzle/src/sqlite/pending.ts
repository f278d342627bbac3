import type { TableNames } from './names.ts'
import { nowMs } from './sql.ts'
import { type Query, query, type Steps } from './steps.ts'

/** Entries that are to be published from now on: parked where the aggregate has a row of its own. */
export function becomePending(names: TableNames, ids: readonly string[]): Query {
  const { entries, entriesById, pending, aggregates } = names
  const text = `INSERT INTO ${pending} (position, partition, aggregate_type, aggregate_id, sequence, payload_bytes, requeues, is_parked)
     SELECT e.position, e.partition, e.aggregate_type, e.aggregate_id, e.sequence, e.payload_bytes, e.requeues, EXISTS (
         SELECT 1 FROM ${aggregates} a
         WHERE a.aggregate_type = e.aggregate_type AND a.aggregate_id = e.aggregate_id)
     FROM ${entries} e INDEXED BY ${entriesById} WHERE e.id IN (SELECT value FROM json_each(?))`
  return { text, values: [JSON.stringify(ids)] }
}

/** Entries that are pending, each named once, are published. Plan: both tables by their keys, in order. */
export function* becomePublished({ pending, settled }: TableNames, positions: readonly number[]): Steps<void> {
  if (positions.length === 0) return
  // in their order the pages of both tables are met one after the other
  const list = JSON.stringify(positions.toSorted((a, b) => a - b))
  yield* query(
    `INSERT INTO ${settled} (position, partition, outcome, settled_at)
     SELECT value, (SELECT partition FROM ${pending} WHERE position = value), 'published', ${nowMs} FROM json_each(?)`,
    list,
  )
  yield* query(`DELETE FROM ${pending} WHERE position IN (SELECT value FROM json_each(?))`, list)
}
