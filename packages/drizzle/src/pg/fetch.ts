import type { DueEntry, FetchRequest, Lease } from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'
import { isEnough } from '../shared/rounds.ts'
import { hasAggregates } from './aside.ts'
import { boundsOf, frontOf, mostAtOnce } from './bounds.ts'
import { columnsOf, lentColumns, lentContent, lentSource } from './content.ts'
import { commitsAtOnce, leaseValues, standingLeases } from './fence.ts'
import { depths } from './fetch-depths.ts'
import { around, checkOutside, isInside, isOutside } from './inside.ts'
import type { Beside } from './log/beside.ts'
import type { Names } from './names.ts'
import { parking } from './parking.ts'
import { beginning } from './plans.ts'
import { clearedIn } from './rounds.ts'
import { booleanIn, numberIn, type Row, textIn } from './rows.ts'
import type { Session } from './session.ts'
import type { Statement } from './statement.ts'
import { pendingStates } from './states.ts'
import { suspects } from './suspects.ts'

/** SQL: none is looked for. */
const noSuspect = 'select null::text as aggregate_type, null::text as aggregate_id where false'

/** `LeasedSource.fetch`. */
export async function fetch(session: Session, names: Names, request: FetchRequest): Promise<readonly DueEntry[]> {
  if (request.leases.length === 0 || request.limit < 1) return []
  const leases = byPartition(request.leases)
  const statement = fetchStatement(names, request)
  const began = performance.now()
  for (let round = 1; ; round++) {
    const rows = await session.run(statement, request)
    checkOutside(rows)
    const due = rows.flatMap((row) => lentIn(row, leases))
    if (isEnough({ round, began, lent: due.length, ...clearedIn(rows) })) return due
  }
}

export type LeasesByPartition = ReadonlyMap<number, Lease>

export function byPartition(leases: readonly Lease[]): LeasesByPartition {
  return new Map(leases.map((lease) => [lease.partition, lease]))
}

/** A partition is lent from under one lease, and the statement has told which partitions' leases stand. */
export function lentIn(row: Row, leases: LeasesByPartition): readonly DueEntry[] {
  if (row['id'] === null) return []
  const lease = leases.get(numberIn(row, 'partition'))
  if (!lease) throw new RangeError('The store lent an entry of a partition that was not asked for.')
  return [{ ...lentContent(row), lease, source: textIn(row, 'source'), isLate: booleanIn(row, 'is_late') }]
}

/** @param beside - a log that owes entries too */
export function fetchStatement(names: Names, request: FetchRequest, beside?: Beside): Statement {
  const { entries, aggregates, leases, meta } = names
  const { limit, front, limitPerAggregate, maxBytes, values } = boundsOf(
    request,
    frontOf(request, depths.smallestFront),
  )
  // As a rule no aggregate waits: then none is looked up. A join would look into the empty table for each entry.
  const waitingUntil = `case when (select is_any from waiting) then (
    select a.waiting_until
    from ${aggregates} a
    where a.aggregate_type = w.aggregate_type and a.aggregate_id = w.aggregate_id
  ) end as waiting_until`
  const pending = {
    columns: 'e.partition, e.position, e.id, e.aggregate_type, e.aggregate_id',
    from: `${entries} e`,
    orderBy: 'e.position',
    most: mostAtOnce,
  }
  const text = `
with ${around},
fence as materialized (
  ${standingLeases(leases, 1, `where ${isOutside}`)}
),
waiting as materialized (
  select exists (select from fence where ${hasAggregates(names, 'fence')}) as is_any
),
-- 1. The front of each partition: one range of the index entries_scan, whatever stands behind it.
front as materialized (
  select w.*, ${waitingUntil}
  from fence
  cross join lateral (
    ${beginning({ ...pending, where: `e.partition = fence.partition and e.state = 'pending'`, limit: front })}
  ) w
),
-- Where a window is full there may be more behind it. All of these get their share of what the batch still wants; and
-- a few of those that hardly any aggregates fill are looked through much deeper, for others that stand behind.
deeper as materialized (
  select partition, last_position, is_crowded,
    greatest(2 * ${limit} - 2 * (select count(*) from front where waiting_until is null), 0) / count(*) over ()
      + case when is_crowded then ${depths.deepWindow} else 0 end as depth
  from (
    select *, open_aggregates < ${depths.crowdedBelow}
      and row_number() over (order by open_aggregates < ${depths.crowdedBelow} desc, random())
        <= ${depths.crowdedPartitions} as is_crowded
    from (
      select partition, max(last_position) as last_position, count(*) filter (where is_open) as open_aggregates
      from (
        select partition, count(*) as entries, max(position) as last_position, bool_or(waiting_until is null) as is_open
        from front
        group by partition, aggregate_type, aggregate_id
      ) of_aggregate
      group by partition
      having sum(entries) = ${front}
    ) full_window
  ) ranked
),
met as materialized (
  -- an array, as a planner that expects one row would look through all partitions for each entry
  select f.*, f.partition = any (array(select partition from deeper where is_crowded)) as is_crowded
  from front f
  union all
  select w.*, ${waitingUntil}, deeper.is_crowded
  from deeper
  cross join lateral (
    ${beginning({
      ...pending,
      where: `e.partition = deeper.partition and e.state = 'pending' and e.position > deeper.last_position`,
      limit: 'deeper.depth',
    })}
  ) w
),
-- 2. What fills a window is put out of the way of the next.
${parking(names, { limit, front })},
-- 3. What a relay may have died of is lent alone, the oldest first, once it is the head of its aggregate.
suspect as materialized (
  ${beside?.hasCompany ? noSuspect : suspects(names, beside)}
),
-- 4. Both kinds of candidates, the oldest first in each partition, then the partitions in turn: neither a kind nor a
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
-- 5. The beginning of each candidate's pending entries by sequence, wherever they stand in the scan. The nested loop
--    ends as soon as the batch is full.
beginnings as materialized (
  select c.place, e.*
  from (select * from candidates order by place limit ${limit}) c
  cross join lateral (
    ${beginning({
      columns: `${columnsOf('e', lentSource)}, e.payload_bytes,
      ${beside ? beside.owesLower('e') : 'false'} as is_behind_log,
      row_number() over (order by e.sequence) as nth`,
      from: `${entries} e`,
      where: `e.aggregate_type = c.aggregate_type and e.aggregate_id = c.aggregate_id and e.state in ${pendingStates}`,
      orderBy: 'e.sequence',
      limit: `case when exists (select from suspect) then 1 else ${limitPerAggregate} end`,
      most: mostAtOnce,
    })}
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
        bool_or(is_behind_log or (crashes >= ${suspectAt} and ${beside?.hasCompany ? 'true' : 'nth > 1'})) over of_aggregate as is_behind
      from beginnings
      window of_aggregate as (partition by place order by nth rows unbounded preceding)
    ) beginning
    where is_beginning and not is_behind
    window in_order as (order by place, nth rows unbounded preceding)
  ) counted
  where ${beside?.hasCompany ? '' : 'nth_of_batch = 1 or '}bytes <= ${maxBytes}
),
noted as (
  update ${leases} l set in_flight = coalesce(lent.ids, '{}')
  from fence left join (select partition, array_agg(id) as ids from batch group by partition) lent using (partition)
  where l.partition = fence.partition and l.in_flight is distinct from coalesce(lent.ids, '{}')
),
-- 6. Only where callers number. The next one above, if it was not given up, tells: it can have been published first
--    only because this one was committed after it.
late as (
  select id
  from (
    select b.id, b.requeues, bool_or(above.state = 'published'${beside ? ` or ${beside.isBelowPassed('b')}` : ''})
      over (partition by b.place order by b.nth desc) as is_late
    from ${meta} numbered
    join batch b on numbered.key = 'sequence-source:' || b.aggregate_type
    left join lateral (
      ${beginning({
        columns: 'n.state',
        from: `${entries} n`,
        where: `n.aggregate_type = b.aggregate_type and n.aggregate_id = b.aggregate_id and n.sequence > b.sequence
          and n.state not in ('dead', 'discarded')`,
        orderBy: 'n.sequence',
        limit: 1,
      })}
    ) above on true
    where numbered.value = 'caller'
  ) looked_up
  where is_late and requeues = 0
)
select ${lentColumns('batch')}, batch.id = any (array(select id from late)) as is_late,
  (select value from ${meta} where key = 'source') as source, ${isInside},
  (select count(*) from parked where is_waiting)::int as parked, (select count(*) from emptied)::int as emptied
from (select) once
left join batch on true
where ${commitsAtOnce}
order by batch.place, batch.nth`
  const name = beside ? `fetch_beside${beside.hasCompany ? '_company' : ''}` : 'fetch'
  return { name, text, values: [...leaseValues(request.leases), ...values] }
}
