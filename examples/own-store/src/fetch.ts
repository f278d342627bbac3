import type { SQLTagStore } from 'node:sqlite'
import type { DueEntry, FetchRequest } from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'
import { clearNotes, sourceOf, standing } from './leases.ts'
import { lentContent, number, type Row } from './rows.ts'

// #region fetch
/** `LeasedSource.fetch`: lends what is due under the leases that stand, and notes it as in flight. */
export function fetch(sql: SQLTagStore, request: FetchRequest): readonly DueEntry[] {
  const leases = new Map(standing(sql, request.leases).map((lease) => [lease.partition, lease]))
  const rows = cut(candidates(sql, [...leases.keys()], request), request.maxBytes)
  for (const partition of leases.keys()) clearNotes(sql, partition)
  for (const row of rows) sql.run`UPDATE outbox_entries SET in_flight = 1 WHERE position = ${number(row, 'position')}`
  const source = sourceOf(sql)
  return rows.sort(byAggregate).flatMap((row) => {
    const lease = leases.get(number(row, 'partition'))
    return lease ? [{ ...lentContent(row), lease, source, isLate: row['is_late'] === 1 }] : []
  })
}

/**
 * Due entries in the order in which they come into the batch: the first of every aggregate, then the second of every
 * one, and so on; within that, the oldest aggregate of every partition, then the second oldest, and so on. So neither
 * an aggregate nor a partition keeps others out, and wherever it is cut off, prefixes by sequence are left.
 *
 * An entry that relays died with twice ends its aggregate's prefix; as the head, it comes before all others.
 */
function candidates(sql: SQLTagStore, partitions: readonly number[], request: FetchRequest): Row[] {
  return sql.all`
    WITH queued AS (
      SELECT position, partition, row_number() OVER queue AS place, first_value(position) OVER queue AS head,
        total(crashes >= ${suspectAt}) OVER queue AS suspects
      FROM outbox_due WHERE partition IN (SELECT value FROM json_each(${JSON.stringify(partitions)}))
      WINDOW queue AS (PARTITION BY aggregate_type, aggregate_id ORDER BY sequence)
    ), ranked AS (
      SELECT *, dense_rank() OVER (PARTITION BY partition ORDER BY head) AS turn FROM queued
    )
    SELECT e.*, r.head, r.suspects, octet_length(e.payload) AS bytes
    FROM ranked r JOIN outbox_entries e USING (position)
    WHERE r.place <= ${request.limitPerAggregate} AND (r.suspects = 0 OR r.place = 1)
    ORDER BY r.suspects DESC, r.place, r.turn, r.head
    LIMIT ${request.limit}`
}

/** A suspect is lent alone. Otherwise: until the first that is too much; the first of all is never too much. */
function cut(rows: Row[], maxBytes: number): Row[] {
  const [first] = rows
  if (first && number(first, 'suspects') > 0) return [first]
  let bytes = 0
  const tooMuch = rows.findIndex((row, index) => {
    bytes += number(row, 'bytes')
    return index > 0 && bytes > maxBytes
  })
  return tooMuch < 0 ? rows : rows.slice(0, tooMuch)
}
// #endregion

function byAggregate(a: Row, b: Row): number {
  return number(a, 'head') - number(b, 'head') || number(a, 'sequence') - number(b, 'sequence')
}
