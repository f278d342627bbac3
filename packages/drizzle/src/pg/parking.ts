import type { Bounds } from './bounds.ts'
import { looks } from './looks.ts'
import type { Names } from './names.ts'
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
  having count(*) > ${looks.hotAbove}
),
to_park as materialized (
  (select id, aggregate_type, aggregate_id, true as has_row, true as is_waiting
    from met
    where waiting_until > now()
    order by partition, position
    limit ${looks.parkedAtOnce})
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
    exists (
      select from ${entries} e
      where e.partition = a.partition and e.state = 'parked'
        and e.aggregate_type = a.aggregate_type and e.aggregate_id = a.aggregate_id) as has_parked
  from fence
  cross join lateral (
    select a.partition, a.aggregate_type, a.aggregate_id, a.parkings
    from ${aggregates} a
    where a.partition = fence.partition and a.waiting_until <= now()
    order by a.waiting_until
    limit ${front}
  ) a
  left join lateral (
    select e.position
    from ${entries} e
    where e.aggregate_type = a.aggregate_type and e.aggregate_id = a.aggregate_id and e.state in ${pendingStates}
    order by e.sequence
    limit 1
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
touched as (
  update ${aggregates} a set parkings = a.parkings + 1
  from locked
  where a.aggregate_type = locked.aggregate_type and a.aggregate_id = locked.aggregate_id
    and exists (
      select from to_park p
      where p.has_row and p.aggregate_type = a.aggregate_type and p.aggregate_id = a.aggregate_id)
  returning a.aggregate_type, a.aggregate_id
),
parked as (
  update ${entries} e set state = 'parked'
  from to_park join (select * from touched union all select * from represented) r using (aggregate_type, aggregate_id)
  where e.id = to_park.id and e.state = 'pending'
  returning to_park.is_waiting
),
emptied as (
  delete from ${aggregates} a
  using returning_rows r join locked using (aggregate_type, aggregate_id)
  where a.aggregate_type = r.aggregate_type and a.aggregate_id = r.aggregate_id
    and not r.has_parked and a.parkings = r.parkings and a.waiting_until <= now()
    and not exists (
      select from to_park p where p.aggregate_type = r.aggregate_type and p.aggregate_id = r.aggregate_id)
  returning a.partition
)`
}
