import { type DueEntry, type FetchRequest, type Lease, partitionCount } from '@outbox/core'
import { lentColumns, lentContent } from './content.ts'
import { leaseValues, standingLeases } from './fence.ts'
import type { Names } from './names.ts'
import { booleanIn, numberIn, type Row, textIn } from './rows.ts'
import type { Session } from './session.ts'
import { pendingStates } from './states.ts'
import type { Statement } from './statement.ts'

/**
 * How far a fetch looks. A window is the front of a partition's scan; where a few aggregates fill it, another, deeper
 * look is taken, at a few partitions each time, and what fills it is parked so that it never fills it again.
 */
const looks = Object.freeze({
  smallestWindow: 16,
  /** fewer aggregates than that in a full window mean that others may stand behind them */
  crowdedBelow: 4,
  crowdedPartitions: 2,
  deepWindow: 2000,
  /** more entries of one aggregate than that in a deep window are parked, though it is due */
  hotAbove: 500,
  parkedAtOnce: 2000,
})

/** `LeasedSource.fetch`. */
export async function fetch(session: Session, names: Names, request: FetchRequest): Promise<readonly DueEntry[]> {
  const leases = new Map(request.leases.map((lease) => [lease.partition, lease]))
  if (leases.size === 0 || request.limit < 1) return []
  const statement = fetchStatement(names, [...leases.values()], request)
  for (;;) {
    const rows = await session.run(statement, request)
    const due = rows.filter((row) => row['id'] !== null).map((row) => dueEntry(row, leases))
    // Entries of aggregates that wait can hide others behind them: having parked some, look again. Each round is a
    // step of its own, and parks at least one entry for good, so this ends.
    if (due.length > 0 || !rows.some((row) => numberIn(row, 'parked') > 0)) return due
  }
}

function dueEntry(row: Row, leases: ReadonlyMap<number, Lease>): DueEntry {
  const lease = leases.get(numberIn(row, 'partition'))
  if (!lease) throw new RangeError(`An entry of partition ${numberIn(row, 'partition')} was lent without a lease.`)
  return { ...lentContent(row), lease, source: textIn(row, 'source'), isLate: booleanIn(row, 'is_late') }
}

export function fetchStatement(
  { entries, aggregates, leases, meta }: Names,
  given: readonly Lease[],
  { limit, limitPerAggregate, maxBytes }: FetchRequest,
): Statement {
  const window = Math.max(looks.smallestWindow, Math.ceil((2 * limit) / Math.min(given.length, partitionCount)))
  const text = `
with fence as materialized (
  ${standingLeases(leases, 1)}
),
-- 1. The front of each partition: one range of the index entries_scan, whatever stands behind it.
front as materialized (
  select w.*, a.waiting_until
  from fence
  cross join lateral (
    select e.partition, e.position, e.id, e.aggregate_type, e.aggregate_id
    from ${entries} e
    where e.partition = fence.partition and e.state = 'pending'
    order by e.position
    limit ${window}
  ) w
  left join ${aggregates} a on a.aggregate_type = w.aggregate_type and a.aggregate_id = w.aggregate_id
),
crowded as materialized (
  select partition, max(last_position) as last_position
  from (
    select partition, count(*) as entries, max(position) as last_position, bool_or(waiting_until is null) as is_open
    from front
    group by partition, aggregate_type, aggregate_id
  ) of_aggregate
  group by partition
  having sum(entries) = ${window} and count(*) filter (where is_open) < ${looks.crowdedBelow}
  order by random()
  limit ${looks.crowdedPartitions}
),
met as materialized (
  select f.*, c.partition is not null as is_crowded
  from front f left join crowded c using (partition)
  union all
  select w.*, a.waiting_until, true
  from crowded
  cross join lateral (
    select e.partition, e.position, e.id, e.aggregate_type, e.aggregate_id
    from ${entries} e
    where e.partition = crowded.partition and e.state = 'pending' and e.position > crowded.last_position
    order by e.position
    limit ${looks.deepWindow}
  ) w
  left join ${aggregates} a on a.aggregate_type = w.aggregate_type and a.aggregate_id = w.aggregate_id
),
-- 2. Parking. Entries are parked only while their aggregate's row is locked, and its count of parkings is raised in
--    the same statement; the row is deleted only if that count still is what its deleter read. So no entry is ever
--    parked without a row that represents it.
hot as materialized (
  select partition, aggregate_type, aggregate_id
  from met
  where is_crowded and waiting_until is null
  group by partition, aggregate_type, aggregate_id
  having count(*) > ${looks.hotAbove}
),
to_park as materialized (
  select met.id, aggregate_type, aggregate_id, met.waiting_until is not null as has_row
  from met left join hot using (aggregate_type, aggregate_id)
  where hot.partition is not null
    or met.waiting_until > now()
    or (met.waiting_until is not null and met.is_crowded)
  order by met.partition, met.position
  limit ${looks.parkedAtOnce}
),
represented as (
  insert into ${aggregates} (partition, aggregate_type, aggregate_id, waiting_until, parkings)
  select partition, aggregate_type, aggregate_id, now(), 1 from hot order by aggregate_type, aggregate_id
  on conflict do nothing
  returning aggregate_type, aggregate_id
),
touched as (
  update ${aggregates} a set parkings = a.parkings + 1
  from (select distinct aggregate_type, aggregate_id from to_park where has_row) p
  where a.aggregate_type = p.aggregate_type and a.aggregate_id = p.aggregate_id
  returning a.aggregate_type, a.aggregate_id
),
parked as (
  update ${entries} e set state = 'parked'
  from to_park join (select * from touched union all select * from represented) r using (aggregate_type, aggregate_id)
  where e.id = to_park.id and e.state = 'pending'
  returning e.id
),
-- 3. Aggregates whose time has come. A row that represents no parked entry any more has done its work.
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
    limit ${window}
  ) a
  left join lateral (
    select e.position
    from ${entries} e
    where e.aggregate_type = a.aggregate_type and e.aggregate_id = a.aggregate_id and e.state in ${pendingStates}
    order by e.sequence
    limit 1
  ) head on true
),
emptied as (
  delete from ${aggregates} a
  using returning_rows r
  where a.aggregate_type = r.aggregate_type and a.aggregate_id = r.aggregate_id
    and not r.has_parked and a.parkings = r.parkings and a.waiting_until <= now()
    and not exists (
      select from to_park p where p.aggregate_type = r.aggregate_type and p.aggregate_id = r.aggregate_id)
),
-- 4. What a relay may have died of is lent alone, the oldest first, once it is the head of its aggregate.
suspect as materialized (
  select e.aggregate_type, e.aggregate_id
  from fence join ${entries} e on e.partition = fence.partition and e.crashes > 0 and e.state in ${pendingStates}
  where not exists (
      select from ${entries} earlier
      where earlier.aggregate_type = e.aggregate_type and earlier.aggregate_id = e.aggregate_id
        and earlier.state in ${pendingStates} and earlier.sequence < e.sequence)
    and not exists (
      select from ${aggregates} a
      where a.aggregate_type = e.aggregate_type and a.aggregate_id = e.aggregate_id and a.waiting_until > now())
  order by e.position
  limit 1
),
-- 5. Both kinds of candidates, the oldest first in each partition, then the partitions in turn: neither a kind nor a
--    partition keeps the others out.
candidates as materialized (
  select 1 as place, aggregate_type, aggregate_id from suspect
  union all
  select row_number() over (order by turn, position), aggregate_type, aggregate_id
  from (
    select aggregate_type, aggregate_id, position,
      row_number() over (partition by partition, has_row order by position) as turn
    from (
      select false as has_row, partition, aggregate_type, aggregate_id, min(position) as position
      from met
      where waiting_until is null
      group by partition, aggregate_type, aggregate_id
      union all
      select true, partition, aggregate_type, aggregate_id, position from returning_rows where position is not null
    ) found
  ) in_turn
  where not exists (select from suspect)
),
-- 6. The beginning of each candidate's pending entries by sequence, wherever they stand in the scan. The nested loop
--    ends as soon as the batch is full.
beginnings as materialized (
  select c.place, e.*
  from (select * from candidates order by place limit ${limit}) c
  cross join lateral (
    select e.*, row_number() over (order by e.sequence) as nth
    from ${entries} e
    where e.aggregate_type = c.aggregate_type and e.aggregate_id = c.aggregate_id and e.state in ${pendingStates}
    order by e.sequence
    limit (select case when exists (select from suspect) then 1 else ${Math.max(1, limitPerAggregate)} end)
  ) e
  limit ${limit}
),
batch as materialized (
  select *
  from (
    select *, row_number() over in_order as nth_of_batch, sum(payload_bytes) over in_order as bytes
    from (
      select *,
        -- the limit above cuts off the end of a beginning; this holds even if the planner joined in another order
        row_number() over of_aggregate = nth as is_beginning,
        bool_or(nth > 1 and crashes > 0) over of_aggregate as is_behind_suspect
      from beginnings
      window of_aggregate as (partition by place order by nth rows unbounded preceding)
    ) beginning
    where is_beginning and not is_behind_suspect
    window in_order as (order by place, nth rows unbounded preceding)
  ) counted
  where nth_of_batch = 1 or bytes <= ${maxBytes}
),
noted as (
  update ${leases} l set in_flight = coalesce(lent.ids, '{}')
  from fence left join (select partition, array_agg(id) as ids from batch group by partition) lent using (partition)
  where l.partition = fence.partition and l.in_flight is distinct from coalesce(lent.ids, '{}')
)
select ${lentColumns('e')},
  (select value from ${meta} where key = 'source') as source,
  (select count(*) from parked)::int as parked,
  -- Only where callers number. The next one above, if it was not given up, tells: it can have been published first
  -- only because this one was committed after it.
  numbered.key is not null and e.requeues = 0 and bool_or(above.state = 'published') over (
    partition by e.place order by e.nth desc) is true as is_late
from (select) once
left join batch e on true
left join ${meta} numbered on numbered.key = 'sequence-source:' || e.aggregate_type and numbered.value = 'caller'
left join lateral (
  select n.state
  from ${entries} n
  where numbered.key is not null
    and n.aggregate_type = e.aggregate_type and n.aggregate_id = e.aggregate_id and n.sequence > e.sequence
    and n.state not in ('dead', 'discarded')
  order by n.sequence
  limit 1
) above on true
order by e.place, e.nth`
  return { text, values: leaseValues(given) }
}
