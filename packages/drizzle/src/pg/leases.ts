import { type GrantedLease, type LeasedSource, OutboxError, type Poll, partitionCount } from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'
import { hasEntries, hasRow } from './aside.ts'
import { leaseValues, standingLeases } from './fence.ts'
import { layoutVersion } from './layout.ts'
import type { Names } from './names.ts'
import { beginning, everyPartition } from './plans.ts'
import { booleanIn, numberIn, numbersIn, type Row, rowsIn, textIn, textOrNullIn } from './rows.ts'
import type { Session } from './session.ts'
import { arrayOf } from './statement.ts'
import { isPending } from './states.ts'

type Request<Method extends 'join' | 'poll' | 'acquire' | 'release'> = Parameters<LeasedSource[Method]>[0]

/** `LeasedSource.join`. */
export async function join(session: Session, names: Names, request: Request<'join'>): Promise<{ source: string }> {
  const { relays, leases, meta } = names
  const text = `
with joined as (
  insert into ${relays} (holder) values ($1::text) on conflict do nothing
),
partitions as (
  insert into ${leases} (partition)
  select missing from generate_series(0, ${partitionCount - 1}) missing
  where not exists (select from ${leases} where partition = missing)
  on conflict do nothing
),
minted as (
  insert into ${meta} (key, value)
  select * from (values ('source', gen_random_uuid()::text), ('version', '${layoutVersion}')) missing (key, value)
  where not exists (select from ${meta} m where m.key = missing.key)
  on conflict do nothing
  returning key, value
)
select value as source from minted where key = 'source'
union all
select value from ${meta} where key = 'source'`
  // Two relays may meet at the very first join: the slower one sees the other's source when it looks again.
  for (let attempt = 1; attempt <= 3; attempt++) {
    const [row] = await session.run({ text, values: [request.holder] }, request)
    if (row) return { source: textIn(row, 'source') }
  }
  throw new OutboxError('busy', 'Several relays join this outbox for the first time: try again.', {
    system: 'postgresql',
  })
}

/** How far `poll` looks into a partition for something that is due. */
const pollWindow = 1000
/** How far it looks whether that waits, before it counts. */
const pollGlance = 16

/**
 * `LeasedSource.poll`: writes one row, and looks at the fronts of the same indexes as `fetch`.
 *
 * @param alsoDue - SQL: another reason for which the partition `p` is due
 */
export async function poll(session: Session, names: Names, request: Request<'poll'>, alsoDue?: string): Promise<Poll> {
  const { entries, aggregates, relays, leases } = names
  const pending = {
    columns: 'e.aggregate_type, e.aggregate_id',
    from: `${entries} e`,
    where: `e.partition = p.partition and e.state = 'pending'`,
    orderBy: 'e.position',
  }
  const glance = beginning({ ...pending, limit: pollGlance })
  const front = beginning({ ...pending, limit: pollWindow })
  const hasOpen = (rows: string): string => `exists (
      select from (${rows}) f
      where not ${hasRow(names, 'f')})`
  const returning = beginning({
    columns: 'a.aggregate_type, a.aggregate_id',
    from: `${aggregates} a`,
    where: 'a.partition = p.partition and a.waiting_until <= now()',
    orderBy: 'a.waiting_until',
    limit: pollWindow,
  })
  const text = `
with renewed as (
  update ${relays} set beat = beat + 1 where holder = $1::text returning beat
)
select
  exists (select from renewed) as is_member,
  (select coalesce(json_agg(json_build_object('holder', r.holder, 'beat', coalesce(b.beat, r.beat))), '[]')::text
    from ${relays} r left join renewed b on r.holder = $1::text) as relays,
  (select coalesce(json_agg(json_build_object('partition', partition, 'epoch', epoch, 'holder', holder)
    order by partition), '[]')::text from ${leases}) as leases,
  (select coalesce(json_agg(p.partition order by p.partition), '[]')::text
    from ${everyPartition} p
    where ${hasOpen(glance)}
    or (
      (select count(*) from (${glance}) f) = ${pollGlance}
      -- a window full of entries that wait hides what stands behind it, until a fetch has parked them
      and ((select count(*) from (${front}) f) = ${pollWindow} or ${hasOpen(front)}))
    or exists (
      select from (${returning}) r
      where ${hasEntries(names, 'r')})
    -- likewise rows whose aggregates have nothing left, until a fetch has deleted them
    or (select count(*) from (${returning}) r) = ${pollWindow}${alsoDue === undefined ? '' : `\n    or ${alsoDue}`}
  ) as due`
  const [row] = await session.run({ name: 'poll', text, values: [request.holder] }, request)
  if (!row) throw new TypeError('The poll gave no row.')
  return {
    isMember: booleanIn(row, 'is_member'),
    relays: rowsIn(row, 'relays').map((relay) => ({ holder: textIn(relay, 'holder'), beat: numberIn(relay, 'beat') })),
    leases: rowsIn(row, 'leases').map((lease) => ({
      partition: numberIn(lease, 'partition'),
      epoch: numberIn(lease, 'epoch'),
      holder: textOrNullIn(lease, 'holder'),
    })),
    duePartitions: numbersIn(row, 'due'),
  }
}

/**
 * `LeasedSource.acquire`.
 *
 * Rows are locked in one order everywhere: relays, then leases by partition, then entries. A lease that somebody else
 * took meanwhile has another epoch when its row is looked at again, and is not granted. A holder that is absent from
 * the relays stays absent, for no holder joins twice.
 *
 * @param also - more CTEs, on the leases in `free`
 */
export async function acquire(
  session: Session,
  names: Names,
  request: Request<'acquire'>,
  also: string = '',
): Promise<readonly GrantedLease[]> {
  const { entries, relays, leases } = names
  const text = `
with evicted as materialized (
  delete from ${relays} r
  using (
    select r.holder, seen.beat
    from ${relays} r join unnest($2::text::text[], $3::text::bigint[]) as seen (holder, beat) using (holder)
    order by r.holder
    for update of r
  ) seen
  where r.holder = seen.holder and r.beat = seen.beat
  returning r.holder
),
claimed as materialized (
  select l.partition, l.holder, l.in_flight, greatest(l.epoch, claim.above) + 1 as epoch
  from ${leases} l
  join unnest($4::text::smallint[], $5::text::bigint[], $6::text::bigint[]) as claim (partition, epoch, above)
    on claim.partition = l.partition and claim.epoch = l.epoch
  where (select count(*) from evicted) >= 0 -- evict first, always
  order by l.partition
  for update of l
),
free as materialized (
  select c.*
  from claimed c
  where exists (select from ${relays} r where r.holder = $1::text)
    and not exists (select from evicted v where v.holder = $1::text)
    and not exists (
      select from ${relays} r
      where r.holder = c.holder and not exists (select from evicted v where v.holder = r.holder))
),
granted as (
  update ${leases} l set holder = $1::text, epoch = free.epoch, in_flight = '{}'
  from free
  where l.partition = free.partition
  returning l.partition, l.epoch
),
-- whoever had these in hand never said what became of them; a released lease has no such notes
crashed as (
  update ${entries} e set crashes = e.crashes + 1
  from (select unnest(in_flight) as id from free) noted
  where e.id = noted.id and ${isPending('e')}
)${also}
select g.partition::int as partition, g.epoch::text as epoch,
  -- as the entries were before this statement, which counts one more crash of those that were in hand
  exists (
    select from ${entries} e
    where e.partition = g.partition and e.crashes >= ${suspectAt - 1}
      and (e.crashes >= ${suspectAt} or e.id = any (free.in_flight))
      and ${isPending('e')}) as has_suspects
from granted g join free using (partition)
order by g.partition`
  const rows = await session.run(
    {
      text,
      values: [
        request.holder,
        arrayOf(request.evict.map((relay) => relay.holder)),
        arrayOf(request.evict.map((relay) => relay.beat)),
        arrayOf(request.claims.map((claim) => claim.partition)),
        arrayOf(request.claims.map((claim) => claim.epoch)),
        arrayOf(request.claims.map((claim) => claim.above ?? 0)),
      ],
    },
    request,
  )
  return rows.map((row: Row) => ({
    partition: numberIn(row, 'partition'),
    epoch: numberIn(row, 'epoch'),
    holder: request.holder,
    hasSuspects: booleanIn(row, 'has_suspects'),
  }))
}

/**
 * `LeasedSource.release`.
 *
 * @param also - more CTEs, on the leases in `fence`
 */
export async function release(
  session: Session,
  names: Names,
  request: Request<'release'>,
  also: string = '',
): Promise<void> {
  const { relays, leases } = names
  const own = request.leases.filter((lease) => lease.holder === request.holder)
  const text = `
with departed as materialized (
  delete from ${relays} where $1::text::boolean and holder = $2::text returning holder
),
fence as materialized (
  ${standingLeases(leases, 3, 'where (select count(*) from departed) >= 0 -- relays are locked before leases, always')}
)${also}
update ${leases} l set holder = null, in_flight = '{}' from fence where l.partition = fence.partition`
  await session.run({ text, values: [String(request.leave), request.holder, ...leaseValues(own)] }, request)
}
