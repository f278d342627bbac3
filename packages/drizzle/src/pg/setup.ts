import { knownOptions } from '@outbox/core/adapter'
import { inboxSubject, logSubject, missingStructure, outboxSubject, type Subject, setupRequired } from './check.ts'
import { checkDatabase, type PgDatabase } from './handles.ts'
import type { Engine } from './log/engine.ts'
import { logStatements } from './log/tables.ts'
import { type Names, namesFor, namesIn, type Place, placeOptions, quoted } from './names.ts'
import { sessionOf } from './session.ts'
import { literal } from './statement.ts'
import { inOrder, inScan, settledStates } from './states.ts'

export interface SetupOptions extends Place {
  /** `log` makes the log too, beside the tables that are there; default `mark` */
  readonly engine?: Engine | undefined
}

/**
 * The SQL that makes the tables of an outbox, for those who write their migrations by hand.
 *
 * Every statement leaves what is there already alone, so running it again changes nothing. It makes what the tables
 * of `@outbox/drizzle/pg/schema` make through drizzle-kit, and with engine `log` the log, which drizzle-kit cannot make; the schema itself is not created.
 */
export function setupSql(options: SetupOptions = {}): string {
  const given = knownOptions('setupSql', options, known)
  return textOf(statementsFor(namesIn(given), given))
}

/** As `setupSql`, for the table of an inbox. */
export function setupInboxSql(place: Place = {}): string {
  return textOf(inboxStatements(namesFor('setupInboxSql', place)))
}

/**
 * Makes the tables and indexes that are missing; safe to call again, and from several processes at once.
 *
 * Where nothing is missing it only reads, and waits for nobody, so it may run at every start. Needs the right to
 * create tables; a relay or a producer needs less. Those who migrate with drizzle-kit need it for the engine `log` alone. A schema that is
 * named and missing is created too.
 *
 * @throws {OutboxError} `invalid-option` · `setup-required` when the privileges do not suffice, or the tables that are
 *   there are of another version or lack a column: that takes a migration, or, where they are not the outbox's, a place
 *   of its own · `unavailable`, `busy`
 */
export async function setup(db: PgDatabase, options: SetupOptions = {}): Promise<void> {
  const given = knownOptions('setup', options, known)
  const names = namesIn(given)
  const subject = given.engine === 'log' ? logSubject(names) : outboxSubject(names)
  await makeMissing(db, subject, statementsFor(names, given))
}

const known: Readonly<Record<keyof SetupOptions, true>> = { ...placeOptions, engine: true }

function statementsFor(names: Names, { engine }: SetupOptions): readonly string[] {
  return engine === 'log' ? [...outboxStatements(names), ...logStatements(names)] : outboxStatements(names)
}

/** As `setup`, for an inbox: its table, and nothing of an outbox. */
export async function setupInbox(db: PgDatabase, place: Place = {}): Promise<void> {
  const names = namesFor('setupInbox', place)
  await makeMissing(db, inboxSubject(names), inboxStatements(names))
}

async function makeMissing(db: PgDatabase, subject: Subject, statements: readonly string[]): Promise<void> {
  const { names, title } = subject
  checkDatabase(db)
  const session = sessionOf(db, { names, use: 'relay' })
  // `create index if not exists` waits for open transactions that have written, and makes all others wait behind it
  if ((await missingStructure(session, subject)).length === 0) return
  // One block is one transaction. `if not exists` does not save two sessions that create one thing at once from a
  // unique violation: the lock lets them do it one after the other.
  const lock = `perform pg_advisory_xact_lock(hashtext('outbox setup'))`
  const body = [lock, ...schemaStatements(names), ...statements].join(';\n')
  await session.run({ text: `do $setup$ begin\n${body};\nend $setup$`, values: [] })
  const missing = await missingStructure(session, subject)
  if (missing.length === 0) return
  throw setupRequired(
    `The tables of the ${title} are there, and not as this version of @outbox/drizzle needs them.`,
    missing,
    'Setting up makes tables and indexes, and alters none: migrate with drizzle-kit, or add by hand what is missing.',
  )
}

/** `create schema if not exists` takes the right to create schemas even where it is there. */
function schemaStatements({ schema }: Names): readonly string[] {
  if (schema === undefined) return []
  return [`if to_regnamespace(${literal(quoted(schema))}) is null then create schema ${quoted(schema)}; end if`]
}

function textOf(statements: readonly string[]): string {
  return `${statements.join(';\n\n')};\n`
}

function outboxStatements(names: Names): readonly string[] {
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
  settled_by text,
  reason text,
  payload_bytes integer not null generated always as (octet_length(payload::text)) stored,
  constraint ${name('entries_partition_check')} check (partition between 0 and 63),
  constraint ${name('entries_state_check')} check (state in ('pending', 'parked', 'published', 'dead', 'discarded'))
)`,
    `create unique index if not exists ${name('entries_sequence')}
  on ${entries} (aggregate_type, aggregate_id, sequence)`,
    `create index if not exists ${name('entries_scan')}
  on ${entries} (partition, state, position) where ${inScan}`,
    `create index if not exists ${name('entries_order')}
  on ${entries} (aggregate_type, aggregate_id, sequence) where ${inOrder}`,
    `create index if not exists ${name('entries_suspect')}
  on ${entries} (partition, position) where crashes > 0`,
    `create index if not exists ${name('entries_dead')}
  on ${entries} (position, partition) where state = 'dead'`,
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

function inboxStatements({ prefix, inbox }: Names): readonly string[] {
  const name = (rest: string): string => quoted(`${prefix}${rest}`)
  return [
    `create table if not exists ${inbox} (
  consumer text not null,
  message_id text not null,
  handled_at timestamptz not null default statement_timestamp(),
  constraint ${name('inbox_pkey')} primary key (consumer, message_id)
)`,
    `create index if not exists ${name('inbox_handled')}
  on ${inbox} (handled_at)`,
  ]
}
