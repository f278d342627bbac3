import { setupRequired } from '../check.ts'
import { checkDatabase, type PgDatabase } from '../handles.ts'
import { type Names, namesFor, type Place } from '../names.ts'
import { booleanIn } from '../rows.ts'
import { sessionOf } from '../session.ts'
import { literal } from '../statement.ts'
import { allCursors, moveAside, movedColumns, standsAsideOfAll, unpassedRows } from './cursor.ts'
import { notingSlot } from './enqueue.ts'
import { writtenHere } from './restored.ts'
import { isOfAnother, serverIdentity } from './server.ts'
import { positionSequence } from './tables.ts'

/**
 * Moves every entry that the log still owes into the table of the mark engine, at its place, and empties the log. Nothing
 * is lost, and nothing reordered; what producers have enqueued on a new server before it ran is among what is owed.
 *
 * Run it with all relays stopped: after a restore from a dump, or a logical replication, to a server that counts other
 * transactions; or to go back to the mark engine at once. A relay that still runs is told that it is no member any more.
 * Producers wait meanwhile; a transaction at REPEATABLE READ that began before it is told `busy` when it enqueues. It is
 * one transaction; calling it again changes nothing.
 *
 * After a logical replication that left the sequences behind, entries may be published again that were published before.
 *
 * @throws {OutboxError} `setup-required` if the role is not the tables' owner, the log is not there, or the connection's
 *   transactions are stricter than READ COMMITTED by default · `unavailable`, `busy`
 */
export async function emptyLog(db: PgDatabase, place: Place = {}): Promise<void> {
  const names = namesFor('emptyLog', place)
  checkDatabase(db)
  const session = sessionOf(db, { names, use: 'logPurge' })
  const [row] = await session.run({ text: `select ${seesCommits} as sees_commits`, values: [] })
  if (row && !booleanIn(row, 'sees_commits')) {
    throw setupRequired(
      'Transactions of this connection to PostgreSQL see what was committed when they began: emptyLog could leave entries behind.',
      ["default_transaction_isolation = 'read committed'"],
      "Call emptyLog over a connection that has default_transaction_isolation = 'read committed'.",
    )
  }
  await session.run({ text: emptyText(names, await serverIdentity(session)), values: [] })
}

/** SQL: whether each statement sees what was committed before it, also after it has waited for a lock. */
const seesCommits = "current_setting('transaction_isolation') in ('read committed', 'read uncommitted')"

/** @param identity - of this server, if it tells */
function emptyText(names: Names, identity: string | undefined): string {
  const { entries, relays, meta, log, log_cursors, log_leaves } = names
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
    where not ${standsAsideOfAll(names, 'l')}
    order by l.position
  ) owed`,
  )};
  if ${isOfAnother(names, identity)} then
    ${moveAside(names, `from (${writtenHere(names, movedColumns)}) owed`)};
  end if;
  truncate ${log};
  update ${log_cursors} set version = version + 1, since = pg_current_snapshot(), until = pg_current_snapshot(),
    position = 0, page_end = null, low = 0, next_low = 0, high = 0, seen = 0, in_flight = '{}';
  update ${log_leaves} set opened_at = now(), drained_at = null;
  ${notingSlot(names, '0')};
  -- a sequence is not replicated: positions must go on above those that are there
  perform setval(${positionSequence(names)}::regclass, greatest(
    (select coalesce(max(position), 1) from ${entries}),
    coalesce(pg_sequence_last_value(${positionSequence(names)}::regclass), 1)));
  ${identity === undefined ? `delete from ${meta} where key = 'log-server'` : noting(meta, identity)};
end $empty$`
}

function noting(meta: string, identity: string): string {
  return `insert into ${meta} (key, value) values ('log-server', ${literal(identity)})
    on conflict (key) do update set value = excluded.value`
}
