import type { GrantedLease, LeasedSource, Poll } from '@outbox/core'
import { hasRow } from '../aside.ts'
import { columnsOf } from '../content.ts'
import * as mark from '../leases.ts'
import type { Names } from '../names.ts'
import type { Session } from '../session.ts'
import { whileNumbersMeet } from './current.ts'
import { allCursors, moveAside, movedColumns, rowOf, standsAside, unpassedRows } from './cursor.ts'
import { serverIdentity } from './server.ts'
import { logVersion } from './tables.ts'

type Request<Method extends 'join' | 'poll' | 'acquire' | 'release'> = Parameters<LeasedSource[Method]>[0]

/** `LeasedSource.join`: makes the cursors too, and writes down on which server the log's transactions are counted. */
export async function join(session: Session, names: Names, request: Request<'join'>): Promise<{ source: string }> {
  const { log_cursors, leases, meta } = names
  const joined = await mark.join(session, names, request)
  const identity = await serverIdentity(session, request)
  const text = `
with cursors as (
  insert into ${log_cursors} (partition)
  select l.partition from ${leases} l
  where not exists (select from ${log_cursors} c where c.partition = l.partition)
  on conflict do nothing
)
insert into ${meta} (key, value)
select * from (values ('log-server', $1::text), ('log-version', '${logVersion}')) missing (key, value)
where value is not null and not exists (select from ${meta} m where m.key = missing.key)
on conflict do nothing`
  await session.run({ text, values: [identity ?? null] }, request)
  return joined
}

/** How far `poll` looks into what the log owes of a partition. If all of that waits, a fetch will move it aside. */
const pollFront = 50

/** `LeasedSource.poll`: the log makes a partition due by a row that is not passed, and whose aggregate does not wait. */
export function poll(session: Session, names: Names, request: Request<'poll'>): Promise<Poll> {
  const front = unpassedRows(names, 'c', 'id, aggregate_type, aggregate_id, position', { limit: pollFront })
  const alsoDue = `exists (
      select from (${allCursors(names, '(select p.partition)')}) c
      cross join lateral (select r.*, row_number() over () as nth from (${front}) r) f
      -- so many that wait may hide what stands behind them, until a fetch has moved them aside
      where f.nth = ${pollFront}
        or (
          not ${hasRow(names, 'f', 'held.waiting_until > now()')}
          and not ${standsAside(names, 'f')}))`
  return mark.poll(session, names, request, alsoDue)
}

/** `LeasedSource.acquire`: what was in hand of the log goes aside, with a crash. */
export function acquire(session: Session, names: Names, request: Request<'acquire'>): Promise<readonly GrantedLease[]> {
  const { log_cursors } = names
  const also = `,
in_hand as materialized (
  select c.partition, c.in_flight
  from ${log_cursors} c join free using (partition)
  order by c.partition
  for update of c
),
forgotten as (
  update ${log_cursors} c set version = c.version + 1, in_flight = '{}', page_end = null
  from in_hand
  where c.partition = in_hand.partition and in_hand.in_flight <> '{}'
),
crashed_of_log as (
  ${moveAside(
    names,
    `from (
    select ${columnsOf('l', movedColumns)}
    from (select partition, unnest(in_flight) as id from in_hand) noted
    cross join lateral (${rowOf(names, 'noted.id', movedColumns)}) l
    where l.partition = noted.partition
    order by l.position
  ) crashed_rows`,
    { crashes: '1' },
  )}
)`
  return whileNumbersMeet(() => mark.acquire(session, names, request, also))
}

/** `LeasedSource.release`. */
export function release(session: Session, names: Names, request: Request<'release'>): Promise<void> {
  // locked, and so read anew: a fetch that was given up may have noted something while this waited for its leases
  const also = `,
in_hand as materialized (
  select c.partition, c.in_flight
  from ${names.log_cursors} c join fence using (partition)
  order by c.partition
  for update of c
),
forgotten as (
  update ${names.log_cursors} c set version = c.version + 1, in_flight = '{}', page_end = null
  from in_hand
  where c.partition = in_hand.partition and in_hand.in_flight <> '{}'
)`
  return mark.release(session, names, request, also)
}
