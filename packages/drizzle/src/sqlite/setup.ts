import { Connections } from './better-sqlite3.ts'
import { missingParts } from './check.ts'
import { refusedSetup } from './errors.ts'
import { driverOf, type LibsqlDatabase, type SqliteDatabase } from './handles.ts'
import { makeInOneGo, runAlone, untilFree } from './libsql.ts'
import { type Place, prefixFor, tableNames } from './names.ts'
import { nowMs, payloadBytes } from './sql.ts'
import { query, type Steps } from './steps.ts'
import { inboxSubject, outboxSubject, type Subject } from './subjects.ts'
import type { Access } from './transact.ts'

/** How long another process's set-up is waited for on libsql, milliseconds. */
const maxWaitMs = 5_000

/**
 * Makes the tables and indexes of the outbox where they are missing. On better-sqlite3 it is done when it returns; on
 * libsql it returns a promise.
 *
 * Where nothing is missing it only reads. Any number of processes may call it at once. Within a transaction that is open on a
 * better-sqlite3 connection it becomes part of that. Those who use drizzle-kit add the tables to their schema instead.
 *
 * @throws {OutboxError} `invalid-option`; `busy`, `unavailable` when the file cannot be written now; `setup-required`
 *   when a table is there without all of its columns, or is newer than this package: that takes a migration, or, where it
 *   is not the outbox's, a prefix of its own
 */
export function setup<Database extends SqliteDatabase | LibsqlDatabase>(
  db: Database,
  place?: Place,
): Database extends LibsqlDatabase ? Promise<void> : void
export function setup(db: SqliteDatabase | LibsqlDatabase, place: Place = {}): void | Promise<void> {
  const prefix = prefixFor('setup', place)
  return makeTables(db, outboxSubject(prefix), outboxStatements(prefix))
}

/** As `setup`, for an inbox: its table, and nothing of an outbox. */
export function setupInbox<Database extends SqliteDatabase | LibsqlDatabase>(
  db: Database,
  place?: Place,
): Database extends LibsqlDatabase ? Promise<void> : void
export function setupInbox(db: SqliteDatabase | LibsqlDatabase, place: Place = {}): void | Promise<void> {
  const prefix = prefixFor('setupInbox', place)
  return makeTables(db, inboxSubject(prefix), inboxStatements(prefix))
}

/** The text that `setup` runs, for those who keep their schema as SQL. */
export function setupSql(place: Place = {}): string {
  return textOf(outboxStatements(prefixFor('setupSql', place)))
}

/** The text that `setupInbox` runs. */
export function setupInboxSql(place: Place = {}): string {
  return textOf(inboxStatements(prefixFor('setupInboxSql', place)))
}

function makeTables(
  db: SqliteDatabase | LibsqlDatabase,
  subject: Subject,
  statements: readonly string[],
): void | Promise<void> {
  const driver = driverOf(db)
  if (driver.kind === 'libsql') {
    return untilFree(async () => {
      if ((await runAlone(driver.client, missingParts(subject))).length === 0) return
      await makeInOneGo(driver.client, statements)
      await runAlone(driver.client, nothingMissing(subject))
    }, maxWaitMs)
  }
  const { client } = driver
  const connections = new Connections()
  const run = <Result>(access: Access, steps: Steps<Result>): Result =>
    client.inTransaction ? connections.runInside(client, steps) : connections.runAlone(client, access, steps)
  if (run('read', missingParts(subject)).length > 0) run('write', made(statements, subject))
}

function* made(statements: readonly string[], subject: Subject): Steps<void> {
  for (const statement of statements) yield* query(statement)
  yield* nothingMissing(subject)
}

/** `IF NOT EXISTS` is content with a table of the right name. */
function* nothingMissing(subject: Subject): Steps<void> {
  const missing = yield* missingParts(subject)
  if (missing.length > 0)
    throw refusedSetup(
      `The tables of the ${subject.title} are there, and not as this version of @outbox/drizzle needs them.`,
      missing,
      'Setting up makes tables and indexes, and alters none: migrate with drizzle-kit, or add by hand what is missing.',
    )
}

function textOf(statements: readonly string[]): string {
  return statements.map((statement) => `${statement};\n`).join('\n')
}

function inboxStatements(givenPrefix: string | undefined): readonly string[] {
  const { prefix, inbox } = tableNames(givenPrefix)
  return [
    `CREATE TABLE IF NOT EXISTS ${inbox} (
  consumer TEXT NOT NULL,
  message_id TEXT NOT NULL,
  handled_at INTEGER NOT NULL DEFAULT (${nowMs}),
  PRIMARY KEY (consumer, message_id)
)`,
    `CREATE INDEX IF NOT EXISTS ${prefix}inbox_handled ON ${inbox} (handled_at)`,
  ]
}

function outboxStatements(givenPrefix: string | undefined): readonly string[] {
  const { prefix, entries, pending, settled, sequences, aggregates, relays, leases, meta } = tableNames(givenPrefix)
  return [
    // The wide columns stand last: SQLite reads a row from its beginning, through overflow pages if it must.
    `CREATE TABLE IF NOT EXISTS ${entries} (
  position INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  id TEXT NOT NULL,
  partition INTEGER NOT NULL,
  aggregate_type TEXT NOT NULL,
  aggregate_id TEXT NOT NULL,
  event_type TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  requeues INTEGER NOT NULL DEFAULT 0,
  occurred_at INTEGER NOT NULL DEFAULT (${nowMs}),
  enqueued_at INTEGER NOT NULL DEFAULT (${nowMs}),
  payload_bytes INTEGER NOT NULL GENERATED ALWAYS AS (${payloadBytes}) STORED,
  headers TEXT NOT NULL DEFAULT '{}',
  payload TEXT NOT NULL,
  CONSTRAINT ${prefix}entries_partition_check CHECK (partition BETWEEN 0 AND 63)
)`,
    `CREATE UNIQUE INDEX IF NOT EXISTS ${prefix}entries_id ON ${entries} (id)`,
    `CREATE UNIQUE INDEX IF NOT EXISTS ${prefix}entries_sequence ON ${entries} (aggregate_type, aggregate_id, sequence)`,
    `CREATE TABLE IF NOT EXISTS ${pending} (
  position INTEGER PRIMARY KEY NOT NULL,
  partition INTEGER NOT NULL,
  aggregate_type TEXT NOT NULL,
  aggregate_id TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  payload_bytes INTEGER NOT NULL,
  is_parked INTEGER NOT NULL DEFAULT 0,
  requeues INTEGER NOT NULL DEFAULT 0,
  refused INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0,
  reason TEXT
)`,
    // what a relay looks through: parked entries are out of its way
    `CREATE INDEX IF NOT EXISTS ${prefix}pending_scan ON ${pending} (partition, is_parked, position)`,
    // The beginning of one aggregate; whether anything of it is parked needs no rows. With the partition first, lanes
    // write to pages of their own.
    `CREATE INDEX IF NOT EXISTS ${prefix}pending_order ON ${pending} (partition, aggregate_type, aggregate_id, sequence, is_parked)`,
    `CREATE INDEX IF NOT EXISTS ${prefix}pending_suspect ON ${pending} (partition, position) WHERE crashes > 0`,
    `CREATE TABLE IF NOT EXISTS ${settled} (
  position INTEGER PRIMARY KEY NOT NULL,
  partition INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  settled_at INTEGER NOT NULL,
  refused INTEGER NOT NULL DEFAULT 0,
  settled_by TEXT,
  reason TEXT,
  CONSTRAINT ${prefix}settled_outcome_check CHECK (outcome IN ('published', 'dead', 'discarded'))
)`,
    `CREATE INDEX IF NOT EXISTS ${prefix}settled_dead ON ${settled} (position, partition) WHERE outcome = 'dead'`,
    `CREATE INDEX IF NOT EXISTS ${prefix}settled_time ON ${settled} (settled_at) WHERE outcome IN ('published', 'discarded')`,
    `CREATE TABLE IF NOT EXISTS ${sequences} (
  aggregate_type TEXT NOT NULL,
  aggregate_id TEXT NOT NULL,
  last_sequence INTEGER NOT NULL,
  PRIMARY KEY (aggregate_type, aggregate_id)
)`,
    `CREATE TABLE IF NOT EXISTS ${aggregates} (
  aggregate_type TEXT NOT NULL,
  aggregate_id TEXT NOT NULL,
  partition INTEGER NOT NULL,
  waiting_until INTEGER NOT NULL,
  blocked_by TEXT NOT NULL DEFAULT '[]',
  PRIMARY KEY (aggregate_type, aggregate_id)
)`,
    `CREATE INDEX IF NOT EXISTS ${prefix}aggregates_due ON ${aggregates} (partition, waiting_until) WHERE blocked_by = '[]'`,
    `CREATE TABLE IF NOT EXISTS ${relays} (
  holder TEXT PRIMARY KEY NOT NULL,
  beat INTEGER NOT NULL DEFAULT 0
)`,
    `CREATE TABLE IF NOT EXISTS ${leases} (
  partition INTEGER PRIMARY KEY NOT NULL,
  epoch INTEGER NOT NULL DEFAULT 0,
  holder TEXT,
  in_flight TEXT NOT NULL DEFAULT '[]'
)`,
    `CREATE TABLE IF NOT EXISTS ${meta} (
  key TEXT PRIMARY KEY NOT NULL,
  value TEXT NOT NULL
)`,
  ]
}
