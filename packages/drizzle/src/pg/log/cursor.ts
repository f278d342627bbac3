import { partitionCount } from '@outbox/core'
import { mostAtOnce } from '../bounds.ts'
import { columnsOf } from '../content.ts'
import { standingLeases } from '../fence.ts'
import { around, isOutside } from '../inside.ts'
import type { Names } from '../names.ts'
import { beginning, beginningOf, everyPartition, fewer, isThere } from '../plans.ts'
import { nowhere, positionSequence } from './tables.ts'

/*
 * A cursor stands between two snapshots. What `since` sees is passed. What `until` sees beyond that is the window, which
 * is read by position: up to `position` it is passed too. What `until` does not see is still to come.
 *
 * So a transaction that commits late is in a later window, wherever its position is, and one that stays open delays
 * nobody else. Within a window the order of positions is the order of those writers that waited for each other.
 */

/**
 * SQL for the tables that every fetch begins with: `around`, `top`, the highest position given away so far, and `fence`,
 * the leases that stand, locked.
 *
 * `top` is read after the statement's snapshot was taken, so nothing that it sees stands higher. And it is read before
 * the leases are locked, which gives the transaction its id: whoever gets a later one gets later positions. So a
 * transaction that was open when a later statement began, and that its snapshot does not list as open because nothing
 * as young had ended yet, stands above what this one has noted. Inside of a transaction that has its id there is no lease.
 *
 * Without the right to read positions there is no lease: newer servers tell null then, and not an error.
 */
export function topAndFence(names: Names): string {
  return `${around},
top as materialized (
  select coalesce(pg_sequence_last_value(s.id), case when has_sequence_privilege(s.id, 'SELECT') then 0 end) as position
  from (select ${positionSequence(names)}::regclass as id) s
),
fence as materialized (
  ${standingLeases(names.leases, 1, `where (select position from top) is not null and ${isOutside}`)}
)`
}

/** SQL: whether the cursor `c` has passed the log's row `l`; null where there is no cursor. */
export function isPassed(l: string, c: string): string {
  return `(pg_visible_in_snapshot(${l}.xid, ${c}.since)
      or (${l}.position <= ${c}.position and pg_visible_in_snapshot(${l}.xid, ${c}.until)))`
}

/**
 * SQL for the first rows of the window of a cursor `w`, by position from `w.position` on; at most `mostAtOnce`.
 *
 * Two ranges of indexes, each read no further than the limit. It holds for both together, too: behind the end of one
 * that was read to its limit more may stand, below rows of the other. A transaction whose id is above all that `since`
 * knows has positions above `low` (`topAndFence`). One that it lists as open may have any: those below `low` are found
 * by one probe for each that has ended since.
 */
export function windowRows({ log }: Names, w: string, columns: string, limit: number | string): string {
  const rows = { columns: columnsOf('l', columns), from: `${log} l`, limit, most: mostAtOnce }
  return `select * from (
    (${beginningOf(
      `select ${rows.columns}
      from ${rows.from}
      where ${isWithin(w, `greatest(${w}.position, ${w}.low)`, `${w}.high`)}
        and l.xid >= pg_snapshot_xmin(${w}.since) and not pg_visible_in_snapshot(l.xid, ${w}.since)
        and pg_visible_in_snapshot(l.xid, ${w}.until)
      order by l.partition, l.position`,
      rows,
    )})
    union all
    (select ${columnsOf('ended', columns)}
      from ${openAt(`${w}.since`)}
      cross join lateral (
        ${beginning({ ...rows, where: isOf(w, `${w}.position`, `${w}.low`), orderBy: 'l.position' })}
      ) ended
      where pg_visible_in_snapshot(open.xid, ${w}.until))
    ) w
    order by w.position
    limit ${typeof limit === 'number' ? limit : `least(${limit}, ${mostAtOnce})`}`
}

/**
 * SQL for all cursors, as a table, or for that of one partition: where it has none yet, one that has passed nothing.
 *
 * `ceiling` is above every position, and for the planner's sake not a constant: it expects little between two bounds
 * that it does not know, and a third of the log above a single one. Then it would scan all of it.
 */
export function allCursors({ log_cursors }: Names, partitions: string = everyPartition): string {
  return `select p.partition, coalesce(c.since, '${nowhere}') as since, coalesce(c.until, '${nowhere}') as until,
    coalesce(c.position, 0) as position, coalesce(c.low, 0) as low, coalesce(c.next_low, 0) as next_low,
    coalesce(c.position, 0) * 0 + 9223372036854775807 as ceiling, coalesce(c.version, -1) as version, coalesce(c.in_flight, '{}') as in_flight
  from ${partitions} p
  left join ${log_cursors} c on c.partition = p.partition`
}

/**
 * SQL: whether the log's row `l` stands in the partition of the cursor `c`, above one position and not above another.
 *
 * Plan: for readers who stop at a limit. Of rows compared as a whole the planner expects many; of one position between
 * two that it does not know, next to none. Then it would fetch all that is left of the partition, and sort it for a few.
 */
function isWithin(c: string, above: string, upTo: string): string {
  return `(l.partition, l.position) > (${c}.partition, ${above}) and (l.partition, l.position) <= (${c}.partition, ${upTo})`
}

/**
 * SQL: whether the log's row `l` is of the transaction `open`, in the partition of the cursor `c`, above one position and
 * not above another.
 *
 * Plan: the upper bound is written as a comparison of rows. Two plain bounds the planner takes for a range that holds
 * next to nothing, and then any index is as good as that by `xid`.
 */
function isOf(c: string, above: string, upTo: string): string {
  return `l.xid = open.xid and l.partition = ${c}.partition
          and l.position > ${above} and (l.position, l.position) <= (${upTo}, ${upTo})`
}

/** Which of the rows are wanted. A limit is one in each range. */
export interface Wanted {
  readonly limit?: number | string
  /** SQL on the row `l` */
  readonly where?: string
}

/**
 * SQL for everything that the cursor `c` has not passed, as far as this statement sees it, by position.
 *
 * What began after `until` has positions above `next_low`; the rest of the window has positions above the cursor's.
 * What was open at one of the two snapshots is looked up by transaction.
 */
export function unpassedRows(names: Names, c: string, columns: string, { limit, where }: Wanted = {}): string {
  const { log } = names
  const bound = `least(greatest(${c}.position, ${c}.low), ${c}.next_low)`
  const range =
    limit === undefined
      ? `l.partition = ${c}.partition and l.position > ${bound} and l.position <= ${c}.ceiling`
      : isWithin(c, bound, `${c}.ceiling`)
  const rows = {
    columns: columnsOf('l', columns),
    from: `${log} l`,
    orderBy: 'l.partition, l.position',
    ...(limit !== undefined && { limit }),
  }
  const wanted = (condition: string): string =>
    `${condition} and not ${isPassed('l', c)} ${where === undefined ? '' : `and ${where}`}`
  const inRange = `select ${rows.columns} from ${rows.from} where ${wanted(range)}`
  return `(${limit === undefined ? fewer(fewer(inRange)) : beginningOf(`${inRange} order by ${rows.orderBy}`, rows)})
    union all
    (select ${columnsOf('of_open', columns)}
      from (
        select xid from ${openAt(`${c}.since`, `${c}.until`)} where ${hasWritten(names, 'open.xid')}
      ) open
      cross join lateral (
        ${beginning({
          ...rows,
          where: wanted(
            isOf(c, `case when pg_visible_in_snapshot(open.xid, ${c}.until) then ${c}.position else 0 end`, bound),
          ),
        })}
      ) of_open)`
}

/** positions; more than a busy log gives away between two fetches, few enough to be read over at each poll */
const unseenAtFirst = 4_000

/**
 * SQL: whether the cursor `c` saw the position of `top` too long ago to open its next window.
 *
 * Whoever begins after a window was opened has positions above what was seen before: where that is long ago, every poll
 * of the window would read over all that came since. So what is seen now is written down first, and the statement is
 * run again.
 *
 * @param attempt - which run of the statement it is; each is content with more, so that no writer keeps it from its end
 */
export function sawTopTooLongAgo(c: string, attempt: number): string {
  return `top.position - ${c}.seen > ${unseenAtFirst * 2 ** (attempt - 1)}`
}

/** SQL: whether a cursor of the table `wanted` moved while the statement waited for it, so that nothing was lent from it. */
export function isStale(wanted: string): string {
  return `exists (select from ${wanted} where partition <> all (array(select partition from noted)))`
}

/** What is copied when a row of the log is moved aside, into columns of the same names. */
export const movedColumns: string =
  'position, id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, headers, occurred_at, enqueued_at'

/** SQL for what a row has aside besides what it had in the log; without it, it is pending there. */
export type Aside = Readonly<
  Partial<Record<'state' | 'refused' | 'crashes' | 'settled_at' | 'settled_by' | 'reason', string>>
>

/**
 * SQL that moves rows aside: into the table that the mark engine's statements work on, whole, at their own place.
 *
 * Where another entry has the number there, the two cannot stand side by side. A statement that fails would stop a lane,
 * and who skipped the row would lose it. So it becomes a dead letter, under a number that no caller can give, which says
 * the one that it had. A producer with the mark engine, which does not look into the log, can write such an entry.
 *
 * Plan: that other entry is looked for with one probe for each row. Its id is compared as well, so no planner can take
 * the search for one that a hash of the whole table would answer.
 */
export function moveAside({ entries }: Names, from: string, aside: Aside = {}): string {
  const { state, refused, crashes, settled_at, settled_by, reason } = {
    ...{ state: "'pending'", refused: '0', crashes: '0' },
    ...{ settled_at: 'null::timestamptz', settled_by: 'null::text', reason: 'null::text' },
    ...aside,
  }
  const withFreeNumbers = movedColumns
    .split(', ')
    .map((column) => (column === 'sequence' ? 'case when is_double then -1 - sequence else sequence end' : column))
  return `insert into ${entries} (${movedColumns}, refused, crashes, state, settled_at, settled_by, reason)
    overriding system value
  select ${withFreeNumbers.join(', ')}, refused, crashes,
    case when is_lost then 'dead' else state end,
    case when is_lost then now() else settled_at end,
    case when is_lost then 'the log' else settled_by end,
    case when is_double and (is_lost or state = 'dead')
      then 'Another entry has the number ' || sequence || ' of this aggregate.' || coalesce(' ' || reason, '')
      else reason end
  from (
    select *, is_double and state = 'pending' as is_lost
    from (
      select *, exists (
          select from ${entries} t
          where t.aggregate_type = going.aggregate_type and t.aggregate_id = going.aggregate_id
            and t.sequence = going.sequence and t.id <> going.id) as is_double
      from (
        select ${movedColumns}, ${refused} as refused, ${crashes} as crashes, ${state} as state,
          ${settled_at} as settled_at, ${settled_by} as settled_by, ${reason} as reason
        ${from}
      ) going
    ) compared
  ) told
  on conflict (id) do nothing`
}

/**
 * SQL for the row of the log that has an id, as a subquery, with the columns of `columns`.
 *
 * Plan: nothing but the id is asked for. Statistics of an empty leaf, or none, make the planner think that an id is
 * common, and of a second condition another index, read whole for each id.
 */
export function rowOf({ log }: Names, id: string, columns: string): string {
  return `select ${columnsOf('l', columns)} from ${log} l where l.id = ${id} limit 1`
}

/** SQL: whether a row of the log stands aside. */
export function standsAside({ entries }: Names, l: string): string {
  return isThere(`${entries} aside`, { 'aside.id': `${l}.id` })
}

/** SQL: the same, for a statement that reads all of the log: it may as well join. */
export function standsAsideOfAll({ entries }: Names, l: string): string {
  return `exists (select from ${entries} aside where aside.id = ${l}.id)`
}

/**
 * SQL: a table `open (xid)` of what was open at snapshots.
 *
 * Plan: by way of an array ten are expected in place of a thousand, for each of 64 cursors. What PostgreSQL takes for so
 * dear it compiles first, which costs a poll a hundred times what it does.
 */
function openAt(...snapshots: readonly string[]): string {
  return `unnest(array(${snapshots.map((snapshot) => `select pg_snapshot_xip(${snapshot})`).join(' union ')})) as open (xid)`
}

/**
 * SQL: whether a transaction that a cursor's snapshot lists as open has a row in the log. Most have none: a snapshot lists
 * those of the whole server, and that of a cursor that has nothing to do is never taken anew.
 *
 * Plan: a hash of those that have, made once for all cursors, by one probe of the log for each transaction; not a join,
 * hence `is true`. Rows compared as a whole, in that order, leave one index to it, whatever is expected of a transaction.
 * Without it each of 64 partitions probed for each of them, at every poll.
 */
function hasWritten({ log, log_cursors }: Names, xid: string): string {
  return `(${xid} in (
          select listed.xid
          from unnest(array(
            select distinct pg_snapshot_xip(snapshot)
            from unnest(array(select since from ${log_cursors} union all select until from ${log_cursors})) as snapshot
          )) as listed (xid)
          cross join lateral (
            select from ${log} l
            where (l.xid, l.partition) >= (listed.xid, 0) and (l.xid, l.partition) <= (listed.xid, ${partitionCount - 1})
            order by l.xid, l.partition
            limit 1
          ) l
        )) is true`
}
