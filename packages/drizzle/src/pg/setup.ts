import type { PgDatabase } from './handles.ts'
import { namesIn, type Place, quoted } from './names.ts'
import { sessionOf } from './session.ts'
import { pendingStates, settledStates } from './states.ts'

/**
 * The SQL that makes the tables of an outbox, for those who write their migrations by hand.
 *
 * Every statement leaves what is there already alone, so running it again changes nothing. It makes what the tables
 * of `@outbox/drizzle/pg/schema` make through drizzle-kit; the schema itself is not created.
 */
export function setupSql(place: Place = {}): string {
  return `${statementsFor(place).join(';\n\n')};\n`
}

/**
 * Makes the tables and indexes that are missing; safe to call again, and from several processes at once.
 *
 * Needs the right to create tables; a relay or a producer needs less. Those who migrate with drizzle-kit do not call
 * it. A schema that is named and missing is created too.
 *
 * @throws {OutboxError} `setup-required` when the privileges do not suffice · `unavailable`, `busy`
 */
export async function setup(db: PgDatabase, place: Place = {}): Promise<void> {
  const names = namesIn(place)
  const schema = names.schema === undefined ? [] : [`create schema if not exists ${quoted(names.schema)}`]
  const statements = [...schema, ...statementsFor(place)]
  // One block is one transaction. `if not exists` does not save two sessions that create one table at once from a
  // unique violation: the lock lets them do it one after the other.
  const body = [`perform pg_advisory_xact_lock(hashtext('${names.channel}'))`, ...statements].join(';\n')
  await sessionOf(db).run({ text: `do $setup$ begin\n${body};\nend $setup$`, values: [] })
}

function statementsFor(place: Place): string[] {
  const names = namesIn(place)
  const { entries, sequences, aggregates, relays, leases, meta } = names
  const name = (rest: string): string => quoted(`${names.prefix}${rest}`)
  return [
    `create table if not exists ${entries} (
  position bigint generated always as identity,
  id uuid primary key,
  partition smallint not null,
  aggregate_type text not null,
  aggregate_id text not null,
  event_type text not null,
  sequence bigint not null,
  payload json not null,
  headers json not null default '{}',
  occurred_at timestamptz not null default statement_timestamp(),
  enqueued_at timestamptz not null default statement_timestamp(),
  state text not null default 'pending',
  refused integer not null default 0,
  crashes integer not null default 0,
  requeues integer not null default 0,
  settled_at timestamptz,
  reason text,
  payload_bytes integer not null generated always as (octet_length(payload::text)) stored,
  constraint ${name('entries_partition_check')} check (partition between 0 and 63),
  constraint ${name('entries_state_check')} check (state in ('pending', 'parked', 'published', 'dead', 'discarded'))
)`,
    `create unique index if not exists ${name('entries_sequence')}
  on ${entries} (aggregate_type, aggregate_id, sequence)`,
    `create index if not exists ${name('entries_scan')}
  on ${entries} (partition, state, position) where state in ${pendingStates}`,
    `create index if not exists ${name('entries_order')}
  on ${entries} (aggregate_type, aggregate_id, sequence) where state in ${pendingStates}`,
    `create index if not exists ${name('entries_suspect')}
  on ${entries} (partition, position) where crashes > 0`,
    `create index if not exists ${name('entries_dead')}
  on ${entries} (position) where state = 'dead'`,
    `create index if not exists ${name('entries_settled')}
  on ${entries} (settled_at) where state in ${settledStates}`,
    `create table if not exists ${sequences} (
  aggregate_type text not null,
  aggregate_id text not null,
  last_sequence bigint not null,
  constraint ${name('sequences_pkey')} primary key (aggregate_type, aggregate_id)
)`,
    `create table if not exists ${aggregates} (
  aggregate_type text not null,
  aggregate_id text not null,
  partition smallint not null,
  waiting_until timestamptz not null,
  blocked_by uuid[] not null default '{}',
  parkings integer not null default 0,
  constraint ${name('aggregates_pkey')} primary key (aggregate_type, aggregate_id)
)`,
    `create index if not exists ${name('aggregates_due')}
  on ${aggregates} (partition, waiting_until)`,
    `create table if not exists ${relays} (
  holder text primary key,
  beat bigint not null default 0
)`,
    `create table if not exists ${leases} (
  partition smallint primary key,
  holder text,
  epoch bigint not null default 0,
  in_flight uuid[] not null default '{}'
)`,
    `create table if not exists ${meta} (
  key text primary key,
  value text not null
)`,
  ]
}
