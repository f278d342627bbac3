import { type CallOptions, partitionCount, type StoreStats } from '@outbox/core'
import { millisecondsOf } from './content.ts'
import type { Names } from './names.ts'
import { numberIn } from './rows.ts'
import type { Session } from './session.ts'
import { pendingStates } from './states.ts'

/** `LeasedSource.stats`: counts on the partial indexes alone, so settled entries cost nothing. */
export async function stats(session: Session, { entries }: Names, options?: CallOptions): Promise<StoreStats> {
  const text = `
select
  (select count(*)::float8 from ${entries} where state in ${pendingStates}) as pending,
  (select count(*)::float8 from ${entries} where state = 'dead') as dead,
  -- positions ascend with time, so the oldest of each partition is the first in its index
  (select ${millisecondsOf('now() - min(front.enqueued_at)')}
    from generate_series(0, ${partitionCount - 1}) p (partition)
    cross join (values ('pending'), ('parked')) s (state)
    cross join lateral (
      select e.enqueued_at
      from ${entries} e
      where e.partition = p.partition and e.state = s.state and e.state in ${pendingStates}
      order by e.position
      limit 1
    ) front) as age`
  const [row] = await session.run({ text, values: [] }, options)
  if (!row) throw new TypeError('The count gave no row.')
  return {
    pending: numberIn(row, 'pending'),
    dead: numberIn(row, 'dead'),
    // never below 0, even if the database's clock was set back
    oldestPendingAgeMs: row['age'] === null ? null : Math.max(0, numberIn(row, 'age')),
  }
}
