import type { FetchRequest } from '@outbox/core'
import { hasAggregates, hasPending } from '../aside.ts'
import { boundsOf, mostAtOnce } from '../bounds.ts'
import { contentColumns } from '../content.ts'
import { commitsAtOnce, leaseValues } from '../fence.ts'
import { depths } from '../fetch-depths.ts'
import { isInside } from '../inside.ts'
import type { Names } from '../names.ts'
import type { Statement } from '../statement.ts'
import { isStale, movedColumns, sawTopTooLongAgo, standsAside, topAndFence, windowRows } from './cursor.ts'
import { lateness } from './late.ts'

/**
 * The fetch of an ordinary day: a page from the log under each lease, and nothing else.
 *
 * Where anything stands aside, waits, or is out of the ordinary, it lends and writes nothing and says so, in the column
 * `is_rough`; then the whole fetch is asked. A statement of this length is planned in a fraction of the time.
 *
 * The columns `met` and `cut` tell how many entries were read, and of how many partitions there are more. Where they
 * make a poor batch, nothing is lent either: it is asked again, and reads deeper.
 *
 * @param watchesCrowds - whether a partition whose front a few aggregates fill is out of the ordinary: others may stand
 * behind them. The column `is_only_crowded` tells that nothing else was, but for a poor batch.
 * @param front - entries that are read of each partition
 * @param attempt - see `sawTopTooLongAgo`
 */
export function smoothStatement(
  names: Names,
  request: FetchRequest,
  { watchesCrowds, front: depth }: Readonly<{ watchesCrowds: boolean; front: number }>,
  attempt: number,
): Statement {
  const { leases, meta, log_cursors } = names
  const { limit, front, limitPerAggregate, maxBytes, values } = boundsOf(request, depth)
  const columns = `${movedColumns}, xid, payload_bytes`
  const page = (cursor: string): string => `select ${cursor}.partition as of_partition, w.*
  from ${cursor}
  cross join lateral (${windowRows(names, cursor, columns, front)}) w`
  const late = lateness(names, 'l')
  const text = `
with ${topAndFence(names)},
cursor as materialized (
  select c.partition, c.version, c.since, c.until, c.position, c.low, c.next_low, c.high, c.seen, c.in_flight
  from fence join ${log_cursors} c using (partition)
),
going_on as materialized (
  ${page('cursor')}
),
-- the next window, where the one that was read has nothing left
opened as materialized (
  select c.partition, c.until as since, pg_current_snapshot() as until, 0::bigint as position,
    c.next_low as low, c.seen as next_low, top.position as high
  from cursor c cross join top
  where c.partition <> all (array(select of_partition from going_on)) and not ${sawTopTooLongAgo('c', attempt)}
),
met as materialized (
  select *, ${standsAside(names, 'p')} as stands_aside,
    row_number() over (partition by partition order by position) as turn,
    row_number() over (partition by aggregate_id, aggregate_type order by position) as nth_of_aggregate,
    sequence < lag(sequence) over (partition by aggregate_id, aggregate_type order by position) as is_disorderly
  from (
    select * from going_on
    union all
    ${page('opened')}
  ) p
),
front_of as materialized (
  select count(*) = ${front} as is_full, count(distinct aggregate_id) < ${depths.crowdedBelow} as is_crowded
  from met
  group by partition
),
rough as materialized (
  select is_odd or is_crowded or is_poor as is_rough, is_crowded and not is_odd as is_only_crowded,
    is_poor and not is_odd and not is_crowded as is_only_poor
  from (
    select ${front} < ${mostAtOnce} and 2 * (select count(*) from met) < ${limit}
      and exists (select from front_of where is_full) as is_poor,
      exists (
        select from met
        where stands_aside or is_disorderly or nth_of_aggregate > ${limitPerAggregate})
      or exists (
        select from fence
        where ${hasPending(names, 'fence')}
          or ${hasAggregates(names, 'fence')}) as is_odd,
      ${watchesCrowds} and exists (select from front_of where is_full and is_crowded) as is_crowded
  ) seen
),
kept as materialized (
  select *, place <= ${limit} and (place = 1 or bytes <= ${maxBytes}) as is_lent
  from (
    select *, row_number() over in_turn as place, sum(payload_bytes) over in_turn as bytes
    from met
    where not (select is_rough from rough)
    window in_turn as (order by turn, position rows unbounded preceding)
  ) ranked
),
kept_of as materialized (
  select partition, min(position) as first_kept, max(position) as last,
    min(position) filter (where not is_lent) as first_left, array_agg(id order by id) filter (where is_lent) as ids
  from kept
  group by partition
),
noted as materialized (
  update ${log_cursors} c set
    version = c.version + 1,
    since = coalesce(opened.since, cursor.since), until = coalesce(opened.until, cursor.until),
    position = coalesce(greatest(coalesce(opened.position, cursor.position), kept_of.first_kept - 1), cursor.position),
    page_end = coalesce(kept_of.first_left - 1, kept_of.last),
    low = coalesce(opened.low, cursor.low), next_low = coalesce(opened.next_low, cursor.next_low),
    high = coalesce(opened.high, cursor.high), seen = top.position, in_flight = coalesce(kept_of.ids, '{}')
  from cursor
  left join kept_of using (partition)
  left join opened using (partition)
  cross join top
  where c.partition = cursor.partition and c.version = cursor.version
    and not (select is_rough from rough)
    and (kept_of.partition is not null or cursor.in_flight <> '{}' or ${sawTopTooLongAgo('cursor', attempt)})
  returning c.partition
),
cleared as (
  update ${leases} l set in_flight = '{}'
  from fence
  where l.partition = fence.partition and l.in_flight <> '{}' and not (select is_rough from rough)
)
select ${contentColumns('l')}, 0 as refused, 0 as crashes, 0 as requeues,
  ${late.isLate} as is_late,
  (select value from ${meta} where key = 'source') as source, ${isInside}, (select is_rough from rough) as is_rough,
  (select is_only_crowded from rough) as is_only_crowded, (select is_only_poor from rough) as is_only_poor,
  (select count(*) from met)::int as met, (select count(*) from front_of where is_full)::int as cut,
  ${isStale('kept_of')} or (
    not (select is_rough from rough) and exists (select from cursor cross join top where ${sawTopTooLongAgo('cursor', attempt)})
  ) as is_stale
from (select) once
left join (
  select * from kept where is_lent and partition = any (array(select partition from noted))
) l on true
${late.joins}
where ${commitsAtOnce}
order by l.place`
  const name = attempt === 1 ? `fetch_smooth${watchesCrowds ? '' : '_crowded'}` : undefined
  return { name, text, values: [...leaseValues(request.leases), ...values] }
}
