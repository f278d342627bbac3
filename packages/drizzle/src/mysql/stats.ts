import type { CallOptions, StoreStats } from '@outbox/core'
import { statsOf } from '../shared/stats.ts'
import { now } from './content.ts'
import { by, byKey } from './indexes.ts'
import { numberList } from './literals.ts'
import type { Names } from './names.ts'
import { numberIn, numberOrNullIn } from './rows.ts'
import type { Session } from './session.ts'
import { allPartitions } from './trait.ts'

/**
 * `LeasedSource.stats`. Plan: the ranges of pending and of dead entries of each partition in the index of the scan, so
 * settled entries cost nothing. Positions ascend with time, so the lowest pending one is the oldest.
 */
export async function stats(session: Session, names: Names, options?: CallOptions): Promise<StoreStats> {
  const { entries } = names
  const rows = await session.read(
    `select counted.\`partition\`, counted.pending, counted.dead,
      timestampdiff(microsecond, oldest.enqueued_at, ${now}) div 1000 as age
    from (
      select \`partition\`, sum(state = 'pending') as pending, sum(state = 'dead') as dead,
        min(if(state = 'pending', position, null)) as position
      from ${entries} ${by(names, 'entries_scan')}
      where \`partition\` in ${numberList(allPartitions)} and state in ('pending', 'dead')
      group by \`partition\`
    ) counted
    left join ${entries} oldest ${byKey} on oldest.position = counted.position
    order by counted.\`partition\``,
    options,
  )
  return statsOf(
    rows.map((row) => {
      const age = numberOrNullIn(row, 'age')
      return {
        partition: numberIn(row, 'partition'),
        pending: numberIn(row, 'pending'),
        dead: numberIn(row, 'dead'),
        // never below 0, even if the database's clock was set back
        oldestPendingAgeMs: age === null ? null : Math.max(0, age),
      }
    }),
  )
}
