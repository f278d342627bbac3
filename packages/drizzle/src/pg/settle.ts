import type { DueEntry, Lease, Settlement, SettleRequest } from '@outbox/core'
import { firstWords, requeuesOf, retryWaitMs } from '@outbox/core/adapter'
import { leaseValues, standingLeases } from './fence.ts'
import type { Names } from './names.ts'
import { numberIn, type Row } from './rows.ts'
import type { Session } from './session.ts'
import { arrayOf, type Statement, storable, type Value } from './statement.ts'
import { isPending } from './states.ts'

/** `LeasedSource.settle`. */
export async function settle(
  session: Session,
  names: Names,
  request: SettleRequest,
): Promise<{ readonly lost: readonly Lease[] }> {
  const leases = leasesOf(request)
  if (leases.size === 0) return { lost: [] }
  const standing = standingIn(await session.run(settleStatement(names, leases, request.settlements), request), leases)
  return { lost: request.leases.filter((lease) => !standing.has(lease)) }
}

/** The leases of a batch, and which of those given to the statement each is, from 1 on: `nth` of `standingLeases`. */
export type NumberedLeases = ReadonlyMap<Lease, number>

/** One that only a settlement names is one of them as well. */
export function leasesOf({ leases, settlements }: Pick<SettleRequest, 'leases' | 'settlements'>): NumberedLeases {
  const numbers = new Map<string, number>()
  const numbered = new Map<Lease, number>()
  for (const lease of [...leases, ...settlements.map(({ entry }) => entry.lease)]) {
    // an object stands for many entries
    if (numbered.has(lease)) continue
    const key = keyOf(lease)
    const nth = numbers.get(key) ?? numbers.size + 1
    numbers.set(key, nth)
    numbered.set(lease, nth)
  }
  return numbered
}

/** What `standingLeases` and the column `lease` of a settlement are bound to. */
export function settlingValues(leases: NumberedLeases, settlements: readonly Settlement[]): readonly Value[] {
  // two objects of one lease have one number: the later one stands in for both
  const given = new Map([...leases].map(([lease, nth]) => [nth, lease]))
  return [
    ...leaseValues([...given.values()]),
    arrayOf(settlements.map(({ entry }) => entry.id)),
    arrayOf(settlements.map(({ entry }) => leases.get(entry.lease) ?? null)),
  ]
}

/** Those whose numbers are in the column `nth`. */
export function standingIn(rows: readonly Row[], leases: NumberedLeases): ReadonlySet<Lease> {
  const numbers = new Set(rows.map((row) => numberIn(row, 'nth')))
  return new Set([...leases].filter(([, nth]) => numbers.has(nth)).map(([lease]) => lease))
}

function keyOf({ partition, epoch, holder }: Lease): string {
  return `${partition} ${epoch} ${holder}`
}

/** SQL that tells the tries of an entry apart in one number: how often it was requeued, and refused since. */
function tryNumber(alias: string): string {
  return `(${alias}.requeues::bigint * ${requeueStep} + ${alias}.refused)`
}

function tryNumberOf(entry: DueEntry): number {
  return requeuesOf(entry) * requeueStep + entry.attempt - 1
}

/** More than the column of refusals holds. */
const requeueStep = 2 ** 31

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
  given: NumberedLeases,
  settlements: readonly Settlement[],
  log?: LogParts,
): Statement {
  const said = firstWords(settlements)
  const text = `
with fence as materialized (
  ${standingLeases(leases, 1)}
),
said as (
  select fence.partition, fence.holder, told.*
  from unnest($4::text::uuid[], $5::text::integer[], $6::text::bigint[], $7::text::text[], $8::text::float8[],
    $9::text::boolean[], $10::text::boolean[], $11::text::text[])
    as told (id, lease, try_number, outcome, retry_in_ms, is_refusal, blocks, reason)
  join fence on fence.nth = told.lease
),
settled as (
  update ${entries} e set
    state = case said.outcome when 'retry' then e.state else said.outcome end,
    refused = e.refused + said.is_refusal::integer,
    crashes = 0,
    settled_at = case said.outcome when 'retry' then null else now() end,
    settled_by = case said.outcome when 'dead' then said.holder end,
    reason = said.reason
  from said
  where e.id = said.id and e.partition = said.partition
    and ${isPending('e')} and ${tryNumber('e')} = said.try_number
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
select nth::int as nth${log ? `, ${log.isStale} as is_stale` : ''} from fence`
  return {
    name: log ? 'settle_singly' : 'settle',
    text,
    values: [
      ...settlingValues(given, said),
      arrayOf(said.map(({ entry }) => tryNumberOf(entry))),
      arrayOf(said.map(({ outcome }) => outcome)),
      arrayOf(said.map((one) => (one.outcome === 'retry' ? retryWaitMs(one) : null))),
      arrayOf(said.map((one) => one.outcome === 'retry' && one.isRefusal)),
      arrayOf(said.map((one) => one.outcome === 'dead' && one.blocksAggregate)),
      arrayOf(said.map((one) => (one.outcome === 'published' ? null : storable(one.reason)))),
    ],
  }
}
