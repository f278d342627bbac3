import type { LeasedSource } from '@outbox/core'
import { millisecondsOf } from './content.ts'
import { beginning } from './plans.ts'
import { numberIn } from './rows.ts'
import type { Session } from './session.ts'
import { whole } from './statement.ts'

type Request = Parameters<LeasedSource['purge']>[0]

/** What to purge: rows of a table that have a key of their own, by a time that an index has. */
export interface Purged {
  readonly table: string
  readonly key: readonly string[]
  readonly time: string
  /** the index's predicate, written exactly so */
  readonly condition?: string
  /** SQL: a row `t` that is kept all the same */
  readonly spared?: string
}

/** Longer than anything is kept, shorter than what a timestamp can hold. */
export const longestAgeMs = 1e14

/** Rows that one statement deletes: it is over in a few milliseconds, and so is whatever waits for it. */
const batchSize = 1000

/**
 * Deletes rows in small batches, oldest first, each a statement that commits by itself. Rows that somebody else has
 * locked are left to them: nobody waits.
 *
 * Each batch begins where the one before it ended. What that deleted may have to stay in the index for as long as some
 * old transaction could still see it, and would be walked through again and again. Rows that are kept do not count towards the limit.
 */
export async function purge(session: Session, purged: Purged, request: Request): Promise<number> {
  const age = String(Math.min(Math.max(0, request.olderThanMs), longestAgeMs))
  let from = Number.NEGATIVE_INFINITY
  // rows that stand at the beginning, and are kept: so many of one time that a later time is not reached
  let kept = 0
  let deleted = 0
  for (let left = whole(request.limit); left > 0; ) {
    const values = [age, String(from), String(kept)]
    const [row] = await session.run({ text: batchText(purged, Math.min(batchSize, left)), values }, request)
    if (!row) throw new TypeError('The purge gave no row.')
    const old = numberIn(row, 'old')
    const gone = numberIn(row, 'deleted')
    deleted += gone
    left -= gone
    if (old < batchSize) break
    // a millisecond earlier, as times are finer than that
    const last = numberIn(row, 'last') - 1
    kept = last > from ? 0 : kept + old - gone
    from = Math.max(from, last)
  }
  return deleted
}

/**
 * Plan: the beginning of the index by time. The bound on the age stands outside, as the planner may expect that it leaves
 * few rows, and sort them all for every batch.
 */
function batchText({ table, key, time, condition, spared }: Purged, most: number): string {
  const sameKey = (one: string, other: string): string =>
    key.map((column) => `${one}.${column} = ${other}.${column}`).join(' and ')
  return `
with old as materialized (
  select *
  from (
    ${beginning({
      columns: `${key.join(', ')}, ${time}`,
      from: table,
      where: `${condition ? `${condition} and ` : ''}${time} >= to_timestamp($2::text::float8 / 1000)`,
      orderBy: time,
      limit: batchSize,
      offset: '$3::text::bigint',
    })}
  ) front
  where ${time} <= now() - $1::text::float8 * interval '1 millisecond'
  limit ${batchSize}
),
free as materialized (
  select ${key.map((column) => `t.${column}`).join(', ')}
  from old join ${table} t on ${sameKey('t', 'old')}${spared ? `\n  where not ${spared}` : ''}
  order by old.${time}
  limit ${most}
  for update of t skip locked
),
deleted as (
  delete from ${table} t using free where ${sameKey('t', 'free')} returning 1
)
select (select count(*) from old)::int as old, (select count(*) from deleted)::int as deleted,
  (select ${millisecondsOf(`max(${time})`)}::text from old) as last`
}
