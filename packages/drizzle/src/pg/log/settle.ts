import type { Lease, SettleRequest } from '@outbox/core'
import { columnsOf } from '../content.ts'
import { standingLeases } from '../fence.ts'
import type { Names } from '../names.ts'
import { booleanIn } from '../rows.ts'
import type { Session } from '../session.ts'
import { leasesOf, type NumberedLeases, settleStatement, settlingValues, standingIn } from '../settle.ts'
import type { Statement } from '../statement.ts'
import { runUntilCurrent } from './current.ts'
import { isPassed, moveAside, movedColumns, rowOf, standsAside } from './cursor.ts'

/**
 * `LeasedSource.settle`.
 *
 * As a rule a batch is of the log alone, and all of it was published: then only cursors move. Where that does not hold
 * for a lease, a second statement settles it: entry by entry, aside.
 */
export async function settle(
  session: Session,
  names: Names,
  request: SettleRequest,
): Promise<{ readonly lost: readonly Lease[] }> {
  const leases = leasesOf(request)
  if (leases.size === 0) return { lost: [] }
  const isAllSmooth = isSmooth(request)
  const rows = isAllSmooth ? await session.run(passStatement(names, leases, request), request) : []
  const done = standingIn(
    rows.filter((row) => booleanIn(row, 'is_done')),
    leases,
  )
  // what is not in the rows has been lost: asking for it again would tell the same
  const asked = isAllSmooth ? standingIn(rows, leases) : new Set(leases.keys())
  const left = new Set([...asked].filter((lease) => !done.has(lease)))
  const others = left.size > 0 ? await settleSingly(session, names, request, left) : left
  return { lost: request.leases.filter((lease) => !done.has(lease) && !others.has(lease)) }
}

/** Whether all may be first attempts of entries that stand in the log. */
function isSmooth({ settlements }: SettleRequest): boolean {
  return settlements.every(
    ({ outcome, entry }) => outcome === 'published' && entry.attempt === 1 && entry.crashes === 0,
  )
}

/** Passes the page of each lease of which all that is in hand was published, and nothing else was said. */
function passStatement(
  { leases, log_cursors }: Names,
  given: NumberedLeases,
  { settlements }: SettleRequest,
): Statement {
  const text = `
with fence as materialized (
  ${standingLeases(leases, 1)}
),
hand as materialized (
  select c.partition, c.version, c.page_end, c.in_flight from ${log_cursors} c join fence using (partition)
),
-- ids in one order on both sides: arrays are compared, as a planner that expects one row would join them row by row
told as materialized (
  select partition, array_agg(id order by id) as ids
  from (
    select distinct *
    from unnest($4::text::uuid[], $5::text::integer[]) as said (id, lease)
  ) said
  join fence on fence.nth = said.lease
  group by partition
),
tally as materialized (
  select hand.partition, hand.version, hand.page_end, hand.in_flight = '{}' as is_empty,
    told.ids is null as is_silent, told.ids = hand.in_flight as is_all
  from hand left join told using (partition)
),
passed as (
  update ${log_cursors} c set
    version = c.version + 1, in_flight = '{}', page_end = null,
    position = case when is_all then greatest(c.position, tally.page_end) else c.position end
  from tally
  where c.partition = tally.partition and c.version = tally.version
    and not is_empty and (is_silent or is_all)
  returning c.partition
),
cleared as (
  update ${leases} l set in_flight = '{}'
  from fence join tally using (partition)
  where l.partition = fence.partition and l.in_flight <> '{}'
    and (is_silent or exists (select from passed where passed.partition = l.partition))
)
select fence.nth::int as nth,
  passed.partition is not null or (is_silent and is_empty) as is_done
from fence
left join tally using (partition)
left join passed using (partition)`
  return { name: 'pass', text, values: settlingValues(given, settlements) }
}

/** @returns those that stand */
async function settleSingly(
  session: Session,
  names: Names,
  request: SettleRequest,
  wanted: ReadonlySet<Lease>,
): Promise<ReadonlySet<Lease>> {
  const settlements = request.settlements.filter(({ entry }) => wanted.has(entry.lease))
  const leases = leasesOf({ leases: [...wanted], settlements })
  const statement = settleStatement(names, leases, settlements, logParts(names))
  return standingIn(await runUntilCurrent(session, statement, request), leases)
}

/**
 * What the mark engine's settle does besides, where entries may stand in the log.
 *
 * Up to the last entry of which something was said the log is passed; what cannot be passed, goes aside. Nothing moves
 * where nothing was said.
 */
function logParts(names: Names) {
  const { log_cursors } = names
  return {
    before: `hand as materialized (
  select c.* from ${log_cursors} c join fence using (partition)
),
in_hand as materialized (
  select partition, unnest(in_flight) as id from hand
),
touched as materialized (
  select coalesce(in_hand.id, told.id) as id, coalesce(in_hand.partition, told.partition) as partition,
    in_hand.id is not null as is_in_hand,
    told.outcome, told.holder, told.retry_in_ms, told.is_refusal, told.blocks, told.reason
  from in_hand
  full join (
    select * from said where try_number = 0
  ) told on told.id = in_hand.id and told.partition = in_hand.partition
),
-- before it is joined: whoever expects one cursor would look each up again for all of them
not_aside as materialized (
  select * from touched k where not ${standsAside(names, 'k')}
),
of_log as materialized (
  select ${columnsOf('l', movedColumns)}, k.is_in_hand, k.outcome, k.holder, k.retry_in_ms, k.is_refusal, k.blocks, k.reason
  from not_aside k
  join hand on hand.partition = k.partition
  cross join lateral (${rowOf(names, 'k.id', `${movedColumns}, xid`)}) l
  where l.partition = k.partition and not ${isPassed('l', 'hand')}
),
reach as materialized (
  select partition, max(position) as position from of_log where is_in_hand and outcome is not null group by partition
),
noted as materialized (
  update ${log_cursors} c set
    version = c.version + 1, in_flight = '{}', page_end = null, position = greatest(c.position, reach.position)
  from hand left join reach using (partition)
  where c.partition = hand.partition and c.version = hand.version
  returning c.partition
),
set_aside as (
  ${moveAside(
    names,
    `from (
    select of_log.*, reach.position as reached
    from of_log join noted using (partition) left join reach using (partition)
    order by of_log.position
  ) lifted
  where case outcome when 'published' then not is_in_hand else outcome is not null or position <= reached end`,
    {
      state: `case outcome when 'published' then 'published' when 'dead' then 'dead' else 'pending' end`,
      refused: 'coalesce(is_refusal, false)::integer',
      settled_at: "case when outcome in ('published', 'dead') then now() end",
      settled_by: "case outcome when 'dead' then holder end",
      reason: 'reason',
    },
  )}
  returning id
),
`,
    settled: `
  union all
  select l.id, l.partition, l.aggregate_type, l.aggregate_id, l.outcome, l.retry_in_ms, l.blocks
  from of_log l join set_aside using (id)
  where l.outcome is not null`,
    isStale: '(select count(*) from hand) <> (select count(*) from noted)',
  }
}
