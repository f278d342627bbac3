import type { CallOptions, StoreStats } from '@outbox/core'
import { statsOf } from '../shared/stats.ts'
import { now } from './content.ts'
import { by, byKey } from './indexes.ts'
import { givenTable } from './literals.ts'
import type { Names } from './names.ts'
import { numberIn, numberOrNullIn } from './rows.ts'
import type { Session } from './session.ts'
import { allPartitions, places } from './trait.ts'

/**
 * `LeasedSource.stats`. Plan: the ranges of pending and of dead entries of each partition in the index of the scan, so
 * settled entries cost nothing. Positions ascend with time, so the lowest pending one is the oldest.
 *
 * A range is found by what is equal in it, of one partition and one state at a time: by lists of them MySQL would read
 * the whole index, settled entries included, if it was counted when it was empty.
 */
export async function stats(session: Session, names: Names, options?: CallOptions): Promise<StoreStats> {
  const { entries } = names
  const of = (state: string): string =>
    `from ${entries} e ${by(names, 'entries_scan')} where e.\`partition\` = given.of_partition and e.state = '${state}'`
  const firstIn = (place: string): string => `ifnull((
        select e.position ${of('pending')} and e.place = '${place}'
        order by e.\`partition\`, e.state, e.place, e.position limit 1), ${Number.MAX_SAFE_INTEGER})`
  const partitions = allPartitions.map((partition) => [partition] as const)
  const rows = await session.read(
    `select counted.\`partition\`, counted.pending, counted.dead,
      timestampdiff(microsecond, oldest.enqueued_at, ${now}) div 1000 as age
    from (
      select given.of_partition as \`partition\`,
        (select count(*) ${of('pending')}) as pending, (select count(*) ${of('dead')}) as dead,
        least(${places.map(firstIn).join(', ')}) as position
      from ${givenTable('given', { of_partition: 'integer' }, partitions)}
    ) counted
    left join ${entries} oldest ${byKey} on oldest.position = counted.position
    where counted.pending + counted.dead > 0
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
