import { hasEntries } from './aside.ts'
import { type Bounds, mostAtOnce } from './bounds.ts'
import { depths } from './fetch-depths.ts'
import type { Names } from './names.ts'
import { beginning, isAmong } from './plans.ts'
import { pendingStates } from './states.ts'

/**
 * SQL for the CTEs that park: the row of an aggregate takes the place of its entries in the scan. They need `fence` and
 * `met`; `returning_rows`, `parked` and `emptied` are for who needs them.
 *
 * Entries are parked only while their aggregate's row is locked, and its count of parkings is raised in the same
 * statement; the row is deleted only if that count still is what its deleter read. So no entry is ever parked without a
 * row that represents it.
 */
export function parking(
  { entries, aggregates }: Pick<Names, 'entries' | 'aggregates'>,
  { limit, front }: Pick<Bounds, 'limit' | 'front'>,
): string {
  return `hot as materialized (
  select partition, aggregate_type, aggregate_id
  from met
  where is_crowded and waiting_until is null
  group by partition, aggregate_type, aggregate_id
  having count(*) > ${depths.hotAbove}
),
to_park as materialized (
  (select id, aggregate_type, aggregate_id, true as has_row, true as is_waiting
    from met
    where waiting_until > now()
    order by partition, position
    limit ${depths.parkedAtOnce})
  union all
  -- those that are due cost a publisher's time: no more of them than are lent
  (select met.id, aggregate_type, aggregate_id, met.waiting_until is not null, false
    from met left join hot using (aggregate_type, aggregate_id)
    where hot.partition is not null or (met.waiting_until <= now() and met.is_crowded)
    order by met.partition, met.position
    limit ${limit})
),
-- Aggregates whose time has come. A row that represents no parked entry any more has done its work.
returning_rows as materialized (
  select a.*, head.position,
    ${hasEntries({ entries }, 'a', `e.state = 'parked'`)} as has_parked
  from fence
  cross join lateral (
    ${beginning({
      columns: 'a.partition, a.aggregate_type, a.aggregate_id, a.parkings',
      from: `${aggregates} a`,
      where: 'a.partition = fence.partition and a.waiting_until <= now()',
      orderBy: 'a.waiting_until',
      limit: front,
      most: mostAtOnce,
    })}
  ) a
  left join lateral (
    ${beginning({
      columns: 'e.position',
      from: `${entries} e`,
      where: `e.aggregate_type = a.aggregate_type and e.aggregate_id = a.aggregate_id and e.state in ${pendingStates}`,
      orderBy: 'e.sequence',
      limit: 1,
    })}
  ) head on true
),
represented as (
  insert into ${aggregates} (partition, aggregate_type, aggregate_id, waiting_until, parkings)
  select partition, aggregate_type, aggregate_id, now(), 1 from hot order by aggregate_type, aggregate_id
  on conflict do nothing
  returning aggregate_type, aggregate_id
),
-- An operator's requeue locks such rows too: everybody takes them in one order.
locked as materialized (
  select a.aggregate_type, a.aggregate_id
  from ${aggregates} a
  join (
    select aggregate_type, aggregate_id from to_park where has_row
    union
    select aggregate_type, aggregate_id from returning_rows where not has_parked
  ) wanted using (aggregate_type, aggregate_id)
  order by a.aggregate_type, a.aggregate_id
  for update of a
),
to_touch as materialized (
  select * from locked where ${isAmong('locked', 'select aggregate_type, aggregate_id from to_park where has_row')}
),
touched as (
  update ${aggregates} a set parkings = a.parkings + 1
  from to_touch t
  where a.aggregate_type = t.aggregate_type and a.aggregate_id = t.aggregate_id
  returning a.aggregate_type, a.aggregate_id
),
may_park as materialized (
  select * from to_park where ${isAmong('to_park', 'select * from touched union all select * from represented')}
),
parked as (
  update ${entries} e set state = 'parked'
  from may_park p
  where e.id = p.id and e.state = 'pending'
  returning p.is_waiting
),
to_empty as materialized (
  select * from returning_rows r
  where not has_parked and ${isAmong('r', 'select * from locked')}
    and not ${isAmong('r', 'select aggregate_type, aggregate_id from to_park')}
),
emptied as (
  delete from ${aggregates} a
  using to_empty r
  where a.aggregate_type = r.aggregate_type and a.aggregate_id = r.aggregate_id
    and a.parkings = r.parkings and a.waiting_until <= now()
  returning a.partition
)`
}
