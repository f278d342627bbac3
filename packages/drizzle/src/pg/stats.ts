import { type CallOptions, partitionCount, type StoreStats } from '@outbox/core'
import { statsOf } from '../shared/stats.ts'
import { millisecondsOf } from './content.ts'
import type { Names } from './names.ts'
import { beginning, isAnyNumber } from './plans.ts'
import { numberIn, type Row } from './rows.ts'
import type { Session } from './session.ts'
import { pendingStates } from './states.ts'

/**
 * `LeasedSource.stats`: counts on the partial indexes alone, so settled entries cost nothing.
 *
 * @param owed - SQL for what is pending elsewhere: partition, count, and the time of the oldest
 */
export async function stats(
  session: Session,
  { entries }: Names,
  options?: CallOptions,
  owed: string = 'select null::smallint as partition, 0 as count, null::timestamptz as oldest where false',
): Promise<StoreStats> {
  const text = `
with pending as materialized (
  select partition, count(*) as count from ${entries} 
  where state in ${pendingStates} and ${isAnyNumber('partition')}
  group by partition
),
dead as materialized (
  select partition, count(*) as count from ${entries} where state = 'dead' and ${isAnyNumber('position')} group by partition
),
owed as materialized (${owed})
select p.partition, (coalesce(pending.count, 0) + coalesce(owed.count, 0))::text as pending, coalesce(dead.count, 0)::text as dead,
  -- positions ascend with time, so the oldest of each partition is the first in its index
  (select ${millisecondsOf('now() - least(min(front.enqueued_at), owed.oldest)')}::text
    from (values ('pending'), ('parked')) s (state)
    cross join lateral (
      ${beginning({
        columns: 'e.enqueued_at',
        from: `${entries} e`,
        where: `e.partition = p.partition and e.state = s.state and e.state in ${pendingStates}`,
        orderBy: 'e.position',
        limit: 1,
      })}
    ) front) as age
from generate_series(0, ${partitionCount - 1}) p (partition)
left join pending on pending.partition = p.partition
left join dead on dead.partition = p.partition
left join owed on owed.partition = p.partition
where pending.count > 0 or dead.count > 0 or owed.count > 0
order by p.partition`
  const rows = await session.run({ text, values: [] }, options)
  return statsOf(
    rows.map((row) => ({
      partition: numberIn(row, 'partition'),
      pending: numberIn(row, 'pending'),
      dead: numberIn(row, 'dead'),
      oldestPendingAgeMs: ageOf(row),
    })),
  )
}

/** Never below 0, even if the database's clock was set back. */
function ageOf(row: Row): number | null {
  return row['age'] === null ? null : Math.max(0, numberIn(row, 'age'))
}
