import { setupRequired } from '../check.ts'
import { checkDatabase, type PgDatabase } from '../handles.ts'
import { type Names, namesIn, type Place } from '../names.ts'
import { booleanIn } from '../rows.ts'
import { sessionOf } from '../session.ts'
import { allCursors, moveAside, movedColumns, standsAside, unpassedRows } from './cursor.ts'
import { identity } from './server.ts'
import { positionSequence } from './tables.ts'

/**
 * Moves every entry that the log still owes into the table of the mark engine, at its place, and empties the log. Nothing
 * is lost, and nothing reordered.
 *
 * Run it with all relays stopped: after a restore from a dump, or a logical replication, to a server that counts other
 * transactions; or to go back to the mark engine at once. A relay that still runs is told that it is no member any more.
 * Producers wait meanwhile. It is one transaction; calling it again changes nothing.
 *
 * @throws {OutboxError} `setup-required` if the role is not the tables' owner, the log is not there, or the connection's
 *   transactions are stricter than READ COMMITTED by default · `unavailable`, `busy`
 */
export async function emptyLog(db: PgDatabase, place: Place = {}): Promise<void> {
  checkDatabase(db)
  const names = namesIn(place)
  const session = sessionOf(db, { names, use: 'logPurge' })
  const [row] = await session.run({ text: `select ${seesCommits} as sees_commits`, values: [] })
  if (row && !booleanIn(row, 'sees_commits')) {
    throw setupRequired(
      'Transactions of this connection to PostgreSQL see what was committed when they began: emptyLog could leave entries behind.',
      ["default_transaction_isolation = 'read committed'"],
      "Call emptyLog over a connection that has default_transaction_isolation = 'read committed'.",
    )
  }
  await session.run({ text: emptyText(names), values: [] })
}

/** SQL: whether each statement sees what was committed before it, also after it has waited for a lock. */
const seesCommits = "current_setting('transaction_isolation') in ('read committed', 'read uncommitted')"

function emptyText(names: Names): string {
  const { entries, relays, meta, log, log_cursors, log_leaves, log_slot } = names
  return `do $empty$ begin
  if not ${seesCommits} then raise 'emptyLog needs READ COMMITTED'; end if;
  lock table ${log} in access exclusive mode;
  delete from ${relays};
  ${moveAside(
    names,
    `from (
    select l.*
    from (${allCursors(names)}) cursor
    cross join lateral (${unpassedRows(names, 'cursor', movedColumns)}) l
    where not ${standsAside(names, 'l')}
    order by l.position
  ) owed`,
    { columns: '', values: '' },
  )};
  truncate ${log};
  update ${log_cursors} set version = version + 1, since = pg_current_snapshot(), until = pg_current_snapshot(),
    position = 0, page_end = null, low = 0, next_low = 0, high = 0, seen = 0, in_flight = '{}';
  update ${log_leaves} set opened_at = now(), drained_at = null;
  perform setval('${log_slot.replaceAll("'", "''")}', 0);
  -- a sequence is not replicated: positions must go on above those that are there
  perform setval(${positionSequence(names)}::regclass, greatest(
    (select coalesce(max(position), 1) from ${entries}),
    coalesce(pg_sequence_last_value(${positionSequence(names)}::regclass), 1)));
  insert into ${meta} (key, value) values ('log-server', ${identity})
    on conflict (key) do update set value = excluded.value;
end $empty$`
}
