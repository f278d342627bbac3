import type { Names } from '../names.ts'
import { isAny, isThere } from '../plans.ts'
import { literal } from '../statement.ts'

/** The parts of the insert that differ: where entries are looked for, and where they are written. */
export interface Target {
  /** SQL: more entries that are known already, to be united with those of the table `entries` */
  readonly known: string
  /** SQL: whether the entry `f` comes below one of its aggregate that is there already; for numbers of the caller */
  readonly isLate: (f: string) => string
  /** CTEs that name what another entry has already */
  readonly taken: string
  /** rows about that */
  readonly takenRows: string
  /** SQL: a condition that holds if nothing is taken */
  readonly isFree: string
}

/**
 * Entries of a log: known, or conflicting, in whatever leaf they stand, or aside. Two transactions that are open at
 * once write into one leaf, where unique indexes make them wait for each other.
 *
 * Plan: each probe is limited, so that it stays a nested loop over indexes whatever the planner expects.
 */
export function logTarget({ entries, log }: Names): Target {
  const number = {
    't.aggregate_type': 'f.aggregate_type',
    't.aggregate_id': 'f.aggregate_id',
    't.sequence': 'f.sequence',
  }
  const sameNumber = (table: string, where?: string): string => isThere(`${table} t`, number, where)
  const above = (table: string, f: string): string =>
    isAny({
      from: `${table} t`,
      where: `t.aggregate_type = ${f}.aggregate_type and t.aggregate_id = ${f}.aggregate_id and t.sequence > ${f}.sequence`,
      orderBy: 't.sequence',
    })
  return {
    known: `
  union
  select l.id, l.sequence
  from given cross join lateral (select l.id, l.sequence from ${log} l where l.id = given.id limit 1) l`,
    isLate: (f) => `${f}.sequence is not null and (${above(log, f)} or ${above(entries, f)})`,
    // In the leaf itself the unique index tells, once nobody is writing the same id: then the entry may be known.
    taken: `taken as materialized (
  select f.id, f.sequence
  from fresh f
  where f.sequence is not null
    and (${sameNumber(log, 't.slot <> (select slot from current)')} or ${sameNumber(entries)})
),
`,
    takenRows: `
union all
select 'taken', id::text, sequence::text from taken
union all
select 'stale', slot::text, null from current where is_older`,
    isFree: 'not exists (select from taken) and not (select is_older from current)',
  }
}

/**
 * A CTE for the leaf that takes what is enqueued now. It is the value of a sequence, which an old snapshot sees too, with
 * the transaction that wrote it last (`notingSlot`): a snapshot older than that cannot know which ids stand in the leaf
 * before, or stood in one that was emptied since.
 *
 * Only a transaction has such a snapshot that keeps one from its beginning. A statement at READ COMMITTED takes its own
 * when it has the lock on the log. So where it does not know the transaction, that is another server's: what is enqueued
 * waits in the log then, for `emptyLog`.
 *
 * The value never changes while a transaction that has written to the log is open (`rotate` locks it): all that are open
 * at once write into one leaf, whose unique indexes make them wait for each other.
 */
export function currentSlot(slotSequence: string): string {
  return `current as materialized (
  select (last_value % 4)::smallint as slot,
    last_value >= 4 and not pg_visible_in_snapshot((last_value / 4)::text::xid8, pg_current_snapshot())
      and current_setting('transaction_isolation') in ('repeatable read', 'serializable') as is_older
  from ${slotSequence}
)`
}

/**
 * A statement of PL/pgSQL that notes a leaf as the one that takes what is enqueued, and this transaction as the one that
 * changed what stands in the leaves, which older snapshots cannot know.
 *
 * @param slot - SQL for a number
 */
export function notingSlot({ log_slot }: Names, slot: string): string {
  return `perform setval(${literal(log_slot)}, pg_current_xact_id()::text::bigint * 4 + ${slot})`
}
