import type { CallOptions, LeasedSource } from '@outbox/core'
import type { Names } from '../names.ts'
import { fewer, isThere } from '../plans.ts'
import { longestAgeMs, purge as purgeRows } from '../purge.ts'
import { booleanIn, numberIn } from '../rows.ts'
import type { Session } from '../session.ts'
import { literal } from '../statement.ts'
import { settledStates } from '../states.ts'
import { whileNumbersMeet } from './current.ts'
import { allCursors, moveAside, movedColumns, standsAside, unpassedRows } from './cursor.ts'
import { notingSlot } from './enqueue.ts'
import { leafOf, slots } from './tables.ts'

type Request = Parameters<LeasedSource['purge']>[0]

/** How long a purge waits for a lock, and whoever comes behind it for the purge. */
const lockMs = 100

/** A leaf that is held by no more than that many entries is freed of them: they go aside. */
const fewOwed = 1000

/**
 * `LeasedSource.purge`: empties leaves of the log that are passed, and deletes what has ended aside.
 *
 * The log goes leaf by leaf: a leaf is truncated once all of it was seen passed `olderThanMs` ago, so its entries stay
 * for up to twice that time, and the count that it adds may be above the limit, and of a large leaf is an estimate. Where
 * a lock cannot be had at once, because a transaction that has enqueued is open, the leaf stays for the next purge.
 */
export async function purge(session: Session, names: Names, request: Request): Promise<number> {
  const ageMs = Math.min(Math.max(0, request.olderThanMs), longestAgeMs)
  await rotate(session, names, ageMs, request)
  let count = 0
  for (const slot of slots) count += await emptyLeaf(session, names, slot, ageMs, request)
  const ended = {
    table: names.entries,
    key: ['id'],
    time: 'settled_at',
    condition: `state in ${settledStates}`,
    // what stands in the log too tells its readers that it has ended
    spared: isThere(`${names.log} l`, { 'l.id': 't.id' }),
  }
  const left = request.limit - count
  return count + (left > 0 ? await purgeRows(session, ended, { ...request, limit: left }) : 0)
}

/** Lets another leaf take what is enqueued, where the one that does is old enough, and the next one is empty. */
async function rotate(session: Session, names: Names, ageMs: number, options: CallOptions): Promise<void> {
  const { log, log_slot, log_leaves } = names
  const filled = (slot: string): string =>
    `case ${slot} ${slots.map((each) => `when ${each} then exists (select from ${leafOf(names, each)})`).join(' ')} end`
  const text = `
select slot::int as slot, next::int as next,
  ${filled('slot')} and not ${filled('next')}
    and opened_at <= now() - ${ageMs} * interval '1 millisecond' as is_time
from (
  select last_value % 4 as slot, (last_value % 4 + 1) % ${slots.length} as next from ${log_slot}
) s
join ${log_leaves} using (slot)`
  const [row] = await session.run({ text, values: [] }, options)
  if (!row || !booleanIn(row, 'is_time')) return
  const next = numberIn(row, 'next')
  // The lock waits for all who have enqueued and are open, and holds new ones up meanwhile: shortly, or not at all.
  // `only`: every writer locks the parent, and a vacuum of a leaf, which may take hours, keeps nothing up.
  await underLock(
    session,
    names,
    `lock table only ${log} in share mode`,
    `
    if (select last_value % 4 from ${log_slot}) = ${numberIn(row, 'slot')} then
      update ${log_leaves} set opened_at = now(), drained_at = null where slot = ${next};
      ${notingSlot(names, String(next))};
    end if;`,
  )
}

/** SQL for what the log still owes of one leaf. */
function owedOf(names: Names, slot: number, columns: string): string {
  return `select l.*
  from (${allCursors(names)}) cursor
  cross join lateral (
    ${unpassedRows({ ...names, log: leafOf(names, slot) }, 'cursor', columns, {
      limit: fewOwed + 1,
      where: `not ${standsAside(names, 'l')}`,
    })}
  ) l`
}

/** Truncates one leaf, if it takes nothing new and all of it was passed long enough ago. @returns how many went */
async function emptyLeaf(
  session: Session,
  names: Names,
  slot: number,
  ageMs: number,
  options: CallOptions,
): Promise<number> {
  const { log_slot, log_leaves } = names
  const leaf = leafOf(names, slot)
  const look = `
select exists (select from ${leaf}) and (select last_value % 4 from ${log_slot}) <> ${slot} as is_closed,
  (select count(*) from (${owedOf(names, slot, 'id, position')} limit ${fewOwed + 1}) l)::int as owed`
  const [seen] = await session.run({ text: look, values: [] }, options)
  if (!seen || !booleanIn(seen, 'is_closed') || numberIn(seen, 'owed') > fewOwed) return 0
  if (numberIn(seen, 'owed') > 0) await moveOwed(session, names, slot, options)
  const drain = `
update ${log_leaves} set drained_at = coalesce(drained_at, now())
where slot = ${slot} and (select last_value % 4 from ${log_slot}) <> ${slot}
  and not exists (${owedOf(names, slot, 'id, position')})
returning drained_at <= now() - ${ageMs} * interval '1 millisecond' as is_old`
  const [drained] = await session.run({ text: drain, values: [] }, options)
  if (!drained || !booleanIn(drained, 'is_old')) return 0
  const [counted] = await session.run({ text: countText(names, slot), values: [] }, options)
  await underLock(
    session,
    names,
    `lock table ${leaf} in access exclusive mode`,
    `
    if (select last_value % 4 from ${log_slot}) <> ${slot}
      and not exists (${owedOf(names, slot, 'id, position')})
    then
      truncate ${leaf};
      ${notingSlot(names, `(select last_value % 4 from ${log_slot})`)};
      update ${log_leaves} set drained_at = null where slot = ${slot};
    end if;`,
  )
  const [after] = await session.run({ text: `select exists (select from ${leaf}) as is_there`, values: [] }, options)
  return after && !booleanIn(after, 'is_there') && counted ? numberIn(counted, 'count') : 0
}

/** A leaf of more entries than that is not read again, only to be counted. */
const countedLeaf = 50_000

/** SQL for how many entries go with a leaf: what stands aside is counted there. Of a large leaf, what was analyzed. */
function countText(names: Names, slot: number): string {
  const leaf = leafOf(names, slot)
  return `
select case
    when read < ${countedLeaf} then of_log
    else greatest(of_log, (select reltuples::bigint from pg_class where oid = ${literal(leaf)}::regclass)) end::text as count
from (
  select count(*) as read, count(*) filter (where not ${standsAside(names, 'l')}) as of_log
  from (${fewer(`select id from ${leaf} limit ${countedLeaf}`)}) l
) beginning`
}

/** Moves aside what holds a leaf, except where some of it is in hand. */
async function moveOwed(session: Session, names: Names, slot: number, options: CallOptions): Promise<void> {
  const { leases, log_cursors } = names
  const text = `
with fence as materialized (
  select partition from ${leases} order by partition for update
),
cursor as materialized (${allCursors(names)}),
owed as materialized (
  ${owedOf(names, slot, movedColumns)}
),
free as (
  update ${log_cursors} c set version = c.version + 1
  from cursor join fence using (partition)
  where c.partition = cursor.partition and c.version = cursor.version and c.in_flight = '{}'
    and c.partition in (select partition from owed)
  returning c.partition
)
${moveAside(
  names,
  `from owed
  where partition in (select partition from free union all select partition from cursor where version < 0)
  order by position`,
)}`
  await whileNumbersMeet(() => session.run({ text, values: [] }, options))
}

/** Runs a block under a lock, if that can be had soon, and while no other purge runs one. */
async function underLock(session: Session, { log_leaves }: Names, lock: string, block: string): Promise<void> {
  const text = `do $purge$ begin
  perform set_config('lock_timeout', '${lockMs}', true);
  begin
    -- what one of them reads of the current slot and writes back, no other may change meanwhile
    perform from ${log_leaves} order by slot for update;
    ${lock};
    ${block}
  exception when lock_not_available then null;
  end;
end $purge$`
  await session.run({ text, values: [] })
}
