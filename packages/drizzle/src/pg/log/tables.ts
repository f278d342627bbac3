import { type Names, quoted } from '../names.ts'
import { literal } from '../statement.ts'

/** Leaves of the log: one takes what is enqueued, one keeps what is young, one is being emptied. */
export const slots: readonly number[] = [0, 1, 2]

/** The front of a partition is read straight from the table: it need not be deep. */
export const smallestFront: number = 4

/** A cursor that has passed nothing. */
export const nowhere = '3:3:'

/** A leaf of the log, ready to stand in SQL. */
export function leafOf({ schema, prefix }: Pick<Names, 'schema' | 'prefix'>, slot: number): string {
  const name = quoted(`${prefix}log_${slot}`)
  return schema === undefined ? name : `${quoted(schema)}.${name}`
}

/**
 * SQL for the name of the sequence that gives positions: the one of the table `entries`, so that what is moved aside
 * keeps its place among what mark producers write.
 */
export function positionSequence({ entries }: Names): string {
  return `pg_get_serial_sequence(${literal(entries)}, 'position')`
}

/**
 * The statements that make the log beside the tables of an outbox.
 *
 * In a row, `xid` is evaluated before `position`: whoever takes its transaction id after a moment takes its position
 * after it too, which is what the cursors' lower bounds rest on.
 */
export function logStatements(names: Names): readonly string[] {
  const { log, log_cursors, log_leaves, log_slot, prefix } = names
  const name = (rest: string): string => quoted(`${prefix}${rest}`)
  return [
    `create sequence if not exists ${log_slot} minvalue 0 start 0`,
    `create table if not exists ${log} (
  slot smallint not null,
  xid xid8 not null default pg_current_xact_id(),
  position bigint not null,
  id uuid not null,
  partition smallint not null,
  aggregate_type text not null,
  aggregate_id text not null,
  event_type text not null,
  sequence bigint not null,
  payload json not null,
  headers json not null default '{}',
  occurred_at timestamptz not null default statement_timestamp(),
  enqueued_at timestamptz not null default statement_timestamp(),
  payload_bytes integer not null generated always as (octet_length(payload::text)) stored,
  constraint ${name('log_partition_check')} check (partition between 0 and 63)
) partition by list (slot)`,
    `do $log$ begin
  execute format('alter table %s alter position set default nextval(%L)', ${literal(log)}, ${positionSequence(names)});
end $log$`,
    ...slots.map(
      (slot) => `create table if not exists ${leafOf(names, slot)} partition of ${log} for values in (${slot})`,
    ),
    `create unique index if not exists ${name('log_id')} on ${log} (id, slot)`,
    `create unique index if not exists ${name('log_sequence')}
  on ${log} (aggregate_type, aggregate_id, sequence, slot)`,
    `create index if not exists ${name('log_scan')} on ${log} (partition, position)`,
    `create index if not exists ${name('log_xid')} on ${log} (xid, partition, position)`,
    // since, until: snapshots. What `since` sees is passed; what only `until` sees is the window.
    // position: up to it the window is passed too; page_end: where it goes when all that is lent is published.
    // low: a transaction younger than all that `since` knows wrote above it; next_low: the same for the next window.
    // high: nothing of the window stands above it; seen: the highest position given away when a fetch last wrote this row.
    // version: raised by each write, and compared by it.
    `create table if not exists ${log_cursors} (
  partition smallint primary key,
  version bigint not null default 0,
  since pg_snapshot not null default '${nowhere}',
  until pg_snapshot not null default '${nowhere}',
  position bigint not null default 0,
  page_end bigint,
  low bigint not null default 0,
  next_low bigint not null default 0,
  high bigint not null default 0,
  seen bigint not null default 0,
  in_flight uuid[] not null default '{}'
) with (fillfactor = 50)`,
    `create table if not exists ${log_leaves} (
  slot smallint primary key,
  opened_at timestamptz not null default now(),
  drained_at timestamptz
)`,
    `insert into ${log_leaves} (slot) values ${slots.map((slot) => `(${slot})`).join(', ')} on conflict do nothing`,
  ]
}

export const logLayout: Readonly<
  Record<
    'log' | 'log_cursors' | 'log_leaves',
    { readonly columns: readonly string[]; readonly indexes: readonly string[] }
  >
> = Object.freeze({
  log: {
    columns: [
      ...['slot', 'xid', 'position', 'id', 'partition', 'aggregate_type', 'aggregate_id', 'event_type', 'sequence'],
      ...['payload', 'headers', 'occurred_at', 'enqueued_at', 'payload_bytes'],
    ],
    indexes: ['log_id', 'log_sequence', 'log_scan', 'log_xid'],
  },
  log_cursors: {
    columns: [
      ...['partition', 'version', 'since', 'until', 'position', 'page_end', 'low', 'next_low', 'high', 'seen'],
      'in_flight',
    ],
    indexes: ['log_cursors_pkey'],
  },
  log_leaves: { columns: ['slot', 'opened_at', 'drained_at'], indexes: ['log_leaves_pkey'] },
})

/** The version of the log's tables: the row `log-version` of the table `meta`. */
export const logVersion: number = 1
