import type { LeasedSource } from '@outbox/core'
import type { Names } from './names.ts'
import { numberIn } from './rows.ts'
import type { Session } from './session.ts'
import { whole } from './statement.ts'
import { settledStates } from './states.ts'

/** `LeasedSource.purge`. Rows that somebody else has locked are left for the next time: nobody waits. */
export async function purge(
  session: Session,
  { entries }: Names,
  request: Parameters<LeasedSource['purge']>[0],
): Promise<number> {
  const text = `
with deleted as (
  delete from ${entries}
  where id in (
    select id
    from ${entries}
    where state in ${settledStates} and settled_at <= now() - $1::text::float8 * interval '1 millisecond'
    order by settled_at
    limit $2::text::bigint
    for update skip locked
  )
  returning id
)
select count(*)::int as count from deleted`
  const values = [String(Math.max(0, request.olderThanMs)), String(whole(request.limit))]
  const [row] = await session.run({ text, values }, request)
  return row ? numberIn(row, 'count') : 0
}
