import { sql } from 'drizzle-orm'
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'

interface Counter {
  readonly type: string
  readonly id: string
  readonly last: number
}

const rowsPerStatement = 1_000

// #region carry-counters
/**
 * Gives the new outbox the last number of every aggregate, so that it goes on counting where the old one ended.
 *
 * Call it when nobody writes to the old outbox any more, and nobody yet to the new one. May be called again: a counter
 * never goes back.
 *
 * @returns how many aggregates there are
 */
export async function carryCounters(from: BetterSQLite3Database, to: NodePgDatabase): Promise<number> {
  const counters = from.all<Counter>(
    sql`select aggregate_type as type, aggregate_id as id, last_sequence as last from outbox_sequences`,
  )
  await to.transaction(async (tx) => {
    for (let start = 0; start < counters.length; start += rowsPerStatement) {
      const rows = JSON.stringify(counters.slice(start, start + rowsPerStatement))
      await tx.execute(sql`
        insert into outbox_sequences (aggregate_type, aggregate_id, last_sequence)
        select type, id, last from json_to_recordset(${rows}::json) as given (type text, id text, last bigint)
        on conflict (aggregate_type, aggregate_id)
          do update set last_sequence = greatest(outbox_sequences.last_sequence, excluded.last_sequence)`)
    }
  })
  return counters.length
}
// #endregion
