import { columnsOf } from '../content.ts'
import type { Names } from '../names.ts'
import { isPassed, standsAside } from './cursor.ts'
import { positionSequence } from './tables.ts'

/**
 * SQL for the rows that the cursors of another server take for passed, though a producer may have written them here: the
 * numbers of its transactions are low, and a cursor knows nothing of them. Only for a log that came from elsewhere.
 *
 * Two things tell such a row. Where the sequence of positions came along, as in a dump, the row stands above all that
 * its cursor has seen. Where it did not, as in a logical replication, the row may have any position, and the system
 * column `xmin` tells: that is the number of the transaction that wrote the row here, so at least that of the row's own
 * `xid`, of which it is a savepoint at most. A row that was copied has that of the copy.
 *
 * Numbers of two servers may lie so by chance: then an entry is published again, and none is lost.
 */
export function writtenHere(names: Names, columns: string): string {
  const { log, log_cursors } = names
  return `select ${columnsOf('l', columns)}
    from ${log} l
    join ${log_cursors} c on c.partition = l.partition
    where ${isPassed('l', 'c')} and not ${standsAside(names, 'l')}
      and (l.position > c.seen or (
        ${wasCopied(names)}
        and l.xid < pg_snapshot_xmax(pg_current_snapshot())
        and ${isNotBefore('l.xmin', 'l.xid')}
        and l.xmin::text <> all (array(${copies(names)}))))`
}

/**
 * SQL: whether the log is certain to be a copy, row by row. After pg_upgrade it is none: there, too, another server has
 * the log, but its rows are those that were written, and each would be taken for one of a producer.
 */
function wasCopied(names: Names): string {
  const { log_cursors } = names
  return `(select exists (
        select from ${log_cursors} c
        where pg_snapshot_xmax(c.until) > pg_snapshot_xmax(pg_current_snapshot())
          -- a cursor is written by a transaction that is younger than its snapshots; \`emptyLog\` makes both alike
          or (c.since::text <> c.until::text and not ${isNotBefore('c.xmin', 'pg_snapshot_xmax(c.until)')})
          or c.seen > coalesce(pg_sequence_last_value(${positionSequence(names)}::regclass), 0))
      or exists (${copies(names)}))`
}

/** SQL for those `xmin` under which rows of several transactions were written: a copy has one for all. */
function copies({ log }: Names): string {
  return `select xmin::text from ${log} group by xmin::text having min(xid::text::bigint) <> max(xid::text::bigint)`
}

/** SQL: whether a number of 32 bits is that of the whole one, or of one given after it. */
function isNotBefore(xmin: string, xid: string): string {
  return `(${xmin}::text::bigint - ${xid}::text::bigint % 4294967296 + 4294967296) % 4294967296 < 2147483648`
}
