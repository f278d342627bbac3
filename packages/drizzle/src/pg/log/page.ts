import type { FetchRequest } from '@outbox/core'
import { hasAggregates, hasEntries, hasPending, hasRow } from '../aside.ts'
import { boundsOf, frontOf, mostAtOnce } from '../bounds.ts'
import { columnsOf, contentColumns } from '../content.ts'
import { commitsAtOnce, leaseValues } from '../fence.ts'
import { depths } from '../fetch-depths.ts'
import { isInside } from '../inside.ts'
import type { Names } from '../names.ts'
import { beginning } from '../plans.ts'
import type { Statement } from '../statement.ts'
import { suspectOf } from './beside.ts'
import { isStale, moveAside, movedColumns, sawTopTooLongAgo, standsAside, topAndFence, windowRows } from './cursor.ts'
import { lateness } from './late.ts'
import { smallestFront } from './tables.ts'

const narrow = 'slot, xid, position, id, aggregate_type, aggregate_id, sequence, payload_bytes'

/**
 * A page from the log under each lease, whatever stands aside; what cannot be lent from here is moved there.
 *
 * @param attempt - see `sawTopTooLongAgo`
 */
export function pageStatement(names: Names, request: FetchRequest, attempt: number): Statement {
  const { entries, aggregates, leases, meta, log, log_cursors } = names
  const { limit, front, limitPerAggregate, maxBytes, values } = boundsOf(request, frontOf(request, smallestFront))
  const late = lateness(names, 'b')
  const text = `
with ${topAndFence(names)},
-- 1. The window of each cursor. One that has nothing left gives way to the next, as a rule without another round trip.
cursor as materialized (
  select c.partition, fence.epoch, fence.holder, c.version, c.in_flight, r.is_behind,
    case when r.opens then c.until else c.since end as since,
    case when r.opens then pg_current_snapshot() else c.until end as until,
    case when r.opens then 0 else c.position end as position,
    case when r.opens then c.next_low else c.low end as low,
    case when r.opens then c.seen else c.next_low end as next_low,
    case when r.opens then top.position else c.high end as high,
    ${hasPending(names, 'c')} or ${hasAggregates(names, 'c')} as has_side
  from fence
  join ${log_cursors} c using (partition)
  cross join top
  cross join lateral (select exists (${windowRows(names, 'c', 'position', 1)}) as is_open offset 0) w
  cross join lateral (
    select not w.is_open and not ${sawTopTooLongAgo('c', attempt)} as opens, not w.is_open and ${sawTopTooLongAgo('c', attempt)} as is_behind
  ) r
),
front as materialized (
  select cursor.partition, w.*
  from cursor
  cross join lateral (${windowRows(names, 'cursor', narrow, front)}) w
),
-- Where the front is full there may be more behind it. All of these get their share of what the batch still wants; and
-- a few of those that hardly any aggregates fill are looked through much deeper, for others that stand behind.
deeper as materialized (
  select partition, position,
    (greatest(2 * ${limit} - 2 * (select count(*) from front), 0) / count(*) over ())::bigint
      + case when is_crowded and row_number() over (order by is_crowded desc, random()) <= ${depths.crowdedPartitions}
        then ${depths.deepWindow} else 0 end as depth
  from (
    select partition, max(position) as position,
      count(distinct aggregate_id) < ${depths.crowdedBelow} as is_crowded
    from front
    group by partition
    having count(*) = ${front}
  ) full_front
),
page as materialized (
  select * from front
  union all
  select d.partition, w.*
  from (
    select cursor.partition, cursor.since, cursor.until, deeper.position, cursor.low, cursor.high, deeper.depth
    from deeper join cursor using (partition)
    where deeper.depth > 0
  ) d
  cross join lateral (${windowRows(names, 'd', narrow, 'd.depth')}) w
),
-- 2. What cannot be lent from here: aggregates of which something stands aside, waits or is blocked, and those whose
--    sequences do not ascend with the positions.
met as materialized (
  select p.*,
    case when cursor.has_side or p.sequence < p.highest_before then true end as may_go_aside,
    p.sequence < p.highest_before as is_disorderly,
    ${standsAside(names, 'p')} as stands_aside
  from (
    select *, max(sequence) over (
      partition by aggregate_id, aggregate_type order by position rows between unbounded preceding and 1 preceding
    ) as highest_before
    from page
  ) p
  join cursor using (partition)
),
elsewhere as materialized (
  select a.aggregate_type, a.aggregate_id
  from (
    select aggregate_type, aggregate_id, bool_or(is_disorderly) as is_disorderly
    from met where may_go_aside group by aggregate_type, aggregate_id
  ) a
  where a.is_disorderly
    or ${hasRow(names, 'a')}
    or ${hasEntries(names, 'a')}
),
placed as materialized (
  select m.*, e.aggregate_id is not null as goes_aside,
    -- more of one aggregate than is lent at once, and others behind it
    m.nth_of_aggregate > ${limitPerAggregate} as is_too_much,
    -- so much that those who come after this window would wait for very long
    m.rows_of_aggregate > ${depths.hotAbove} as is_hot,
    max(m.position) filter (where e.aggregate_id is null and m.nth_of_aggregate <= ${limitPerAggregate})
      over (partition by m.partition) as last_good
  from (
    select *, row_number() over (partition by aggregate_id, aggregate_type order by position) as nth_of_aggregate,
      count(*) over (partition by aggregate_id, aggregate_type) as rows_of_aggregate
    from met
    where not stands_aside
  ) m
  left join elsewhere e using (aggregate_type, aggregate_id)
),
suspect as materialized (
  ${suspectOf(names)}
),
side as materialized (
  select count(*) > 0 as is_due, least(count(*), ${limit} / 2) as reserved
  from (
    select from fence
    cross join lateral (
      (${beginning({
        from: `${entries} e`,
        where: `e.partition = fence.partition and e.state = 'pending'`,
        orderBy: 'e.position',
        limit: `greatest(1, ${limit} / 2)`,
        most: mostAtOnce,
      })})
      union all
      (${beginning({
        from: `${aggregates} a cross join generate_series(1, ${depths.crowdedBelow})`,
        where: 'a.partition = fence.partition and a.waiting_until <= now()',
        orderBy: 'a.waiting_until',
        limit: `greatest(1, ${limit} / 2)`,
        most: mostAtOnce,
      })})
    ) waiting
  ) w
),
-- 3. The batch: the partitions in turn, and of each the beginning by position.
kept as materialized (
  select *,
    place <= (select ${limit} - reserved from side)
      and (place = 1 or bytes <= ${maxBytes})
      and not is_too_much
      and not exists (select from suspect) as is_lent
  from (
    select *, row_number() over in_turn as place, sum(payload_bytes) over in_turn as bytes
    from (
      select *, row_number() over (partition by partition order by position) as turn
      from placed
      where not goes_aside and (not is_too_much or (not is_hot and (last_good is null or position > last_good)))
    ) of_partition
    window in_turn as (partition by is_too_much order by turn, position rows unbounded preceding)
  ) ranked
),
-- grouped before they are joined: a planner that expects one row would do it again for each
met_of as materialized (
  select partition, max(position) as last from met group by partition
),
kept_of as materialized (
  select partition, min(position) as first_kept, min(position) filter (where not is_lent) as first_left,
    array_agg(id order by id) filter (where is_lent) as ids
  from kept
  group by partition
),
reach as materialized (
  select * from met_of left join kept_of using (partition)
),
-- Compared and written at once: a statement that waited for the lease may have read a cursor that moved meanwhile.
noted as materialized (
  update ${log_cursors} c set
    version = c.version + 1, since = cursor.since, until = cursor.until,
    position = coalesce(greatest(cursor.position, coalesce(reach.first_kept - 1, reach.last)), cursor.position),
    page_end = coalesce(reach.first_left - 1, reach.last),
    low = cursor.low, next_low = cursor.next_low, high = cursor.high, seen = top.position,
    in_flight = coalesce(reach.ids, '{}')
  from cursor
  left join reach using (partition)
  cross join top
  where c.partition = cursor.partition and c.version = cursor.version
    and (reach.partition is not null or c.in_flight <> '{}' or cursor.is_behind)
  returning c.partition
),
cleared as (
  update ${leases} l set in_flight = '{}' from fence where l.partition = fence.partition and l.in_flight <> '{}'
),
moved as (
  ${moveAside(
    names,
    `from (
    select ${columnsOf('l', movedColumns)}
    from placed p
    join noted using (partition)
    join ${log} l on l.slot = p.slot and l.partition = p.partition and l.position = p.position
    where p.goes_aside or (p.is_too_much and (p.is_hot or p.position < p.last_good))
    order by l.position
  ) lifted`,
  )}
  returning id
),
lent as materialized (
  select b.place, b.slot, b.partition, b.position, ${late.isLate} as is_late
  from kept b
  ${late.joins}
  where b.is_lent and b.partition = any (array(select partition from noted))
)
select ${contentColumns('l')}, 0 as refused, 0 as crashes, 0 as requeues,
  lent.is_late,
  (select value from ${meta} where key = 'source') as source, ${isInside},
  (select count(*) from moved)::int as moved, (select is_due from side) as is_side_due,
  -- the rest of a window held only what was settled aside: the next may hold something
  exists (select from noted join reach using (partition) where last is not null and first_kept is null) as has_passed,
  ${isStale('reach')} or exists (select from cursor where is_behind) as is_stale
from (select) once
left join lent on true
left join ${log} l on l.slot = lent.slot and l.partition = lent.partition and l.position = lent.position
where ${commitsAtOnce}
order by lent.place`
  const name = attempt === 1 ? 'fetch_page' : undefined
  return { name, text, values: [...leaseValues(request.leases), ...values] }
}
