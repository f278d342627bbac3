import type { Lease, Settlement, SettleRequest } from '@outbox/core'
import { leaseValues, standingLeases } from './fence.ts'
import type { Names } from './names.ts'
import { numberIn, type Row, textIn } from './rows.ts'
import type { Session } from './session.ts'
import { arrayOf, type Statement, storable } from './statement.ts'
import { pendingStates } from './states.ts'

/** `LeasedSource.settle`. */
export async function settle(
  session: Session,
  names: Names,
  request: SettleRequest,
): Promise<{ readonly lost: readonly Lease[] }> {
  const leases = leasesOf(request)
  if (leases.length === 0) return { lost: [] }
  const rows = await session.run(settleStatement(names, leases, request.settlements), request)
  const standing = new Set(rows.map((row) => keyOf(leaseIn(row))))
  return { lost: request.leases.filter((lease) => !standing.has(keyOf(lease))) }
}

/** The leases of a batch. One that only a settlement names is one of them as well. */
export function leasesOf({ leases, settlements }: SettleRequest): readonly Lease[] {
  const all = [...leases, ...settlements.map(({ entry }) => entry.lease)]
  return [...new Map(all.map((lease) => [keyOf(lease), lease])).values()]
}

export function leaseIn(row: Row): Lease {
  return { partition: numberIn(row, 'partition'), epoch: numberIn(row, 'epoch'), holder: textIn(row, 'holder') }
}

export function keyOf({ partition, epoch, holder }: Lease): string {
  return `${partition} ${epoch} ${holder}`
}

/** Longer than anybody means to wait, shorter than what a timestamp can hold. */
const longestWaitMs = 1e14

/** SQL for a log beside the table, of which something is said too. */
interface LogParts {
  /** CTEs */
  readonly before: string
  /** rows to be united with those that were settled */
  readonly settled: string
  /** whether nothing of what was said of the log counts, because a cursor moved meanwhile */
  readonly isStale: string
}

export function settleStatement(
  { entries, aggregates, leases }: Names,
  given: readonly Lease[],
  settlements: readonly Settlement[],
  log?: LogParts,
): Statement {
  // what is said first about an entry counts, as in two calls
  const said = [...new Map(settlements.toReversed().map((settlement) => [settlement.entry.id, settlement])).values()]
  const text = `
with fence as materialized (
  ${standingLeases(leases, 1)}
),
said as (
  select *
  from unnest($4::text::uuid[], $5::text::smallint[], $6::text::bigint[], $7::text::text[], $8::text::integer[],
    $9::text::text[], $10::text::float8[], $11::text::boolean[], $12::text::boolean[], $13::text::text[])
    as said (id, partition, epoch, holder, attempt, outcome, retry_in_ms, is_refusal, blocks, reason)
),
settled as (
  update ${entries} e set
    state = case said.outcome when 'retry' then e.state else said.outcome end,
    refused = e.refused + said.is_refusal::integer,
    crashes = 0,
    settled_at = case said.outcome when 'retry' then null else now() end,
    settled_by = case said.outcome when 'dead' then said.holder end,
    reason = said.reason
  from said join fence using (partition, epoch, holder)
  where e.id = said.id and e.partition = said.partition
    and e.state in ${pendingStates} and e.refused = said.attempt - 1
  returning e.id, e.partition, e.aggregate_type, e.aggregate_id, said.outcome, said.retry_in_ms, said.blocks
),
${log?.before ?? ''}waiting as (
  insert into ${aggregates} as a (partition, aggregate_type, aggregate_id, waiting_until, blocked_by)
  select partition, aggregate_type, aggregate_id,
    case when bool_or(blocks) then 'infinity' else now() + max(retry_in_ms) * interval '1 millisecond' end,
    coalesce(array_agg(id) filter (where blocks), '{}')
  from (select * from settled${log?.settled ?? ''}) outcomes
  where outcome = 'retry' or blocks
  group by partition, aggregate_type, aggregate_id
  order by aggregate_type, aggregate_id
  on conflict (aggregate_type, aggregate_id) do update set
    waiting_until = case when a.blocked_by = '{}' then excluded.waiting_until else 'infinity' end,
    blocked_by = a.blocked_by || excluded.blocked_by
),
cleared as (
  update ${leases} l set in_flight = '{}' from fence where l.partition = fence.partition and l.in_flight <> '{}'
)
select partition::int as partition, epoch::text as epoch, holder${log ? `, ${log.isStale} as is_stale` : ''} from fence`
  return {
    text,
    values: [
      ...leaseValues(given),
      arrayOf(said.map(({ entry }) => entry.id)),
      ...leaseValues(said.map(({ entry }) => entry.lease)),
      arrayOf(said.map(({ entry }) => entry.attempt)),
      arrayOf(said.map(({ outcome }) => outcome)),
      arrayOf(
        said.map((one) => (one.outcome === 'retry' ? Math.min(Math.max(0, one.retryInMs), longestWaitMs) : null)),
      ),
      arrayOf(said.map((one) => one.outcome === 'retry' && one.isRefusal)),
      arrayOf(said.map((one) => one.outcome === 'dead' && one.blocksAggregate)),
      arrayOf(said.map((one) => (one.outcome === 'published' ? null : storable(one.reason)))),
    ],
  }
}
