import { Connections } from './connection.ts'
import { clientOf, type SqliteDatabase } from './handles.ts'
import { tableNames } from './names.ts'
import { isPending, nowMs, payloadBytes } from './sql.ts'
import { query, type Steps } from './steps.ts'

/**
 * Makes the tables and indexes of the outbox where they are missing; done when it returns.
 *
 * Calling it again, also from several processes at once, changes nothing. Within an open transaction it becomes part
 * of that. Those who use drizzle-kit add the tables to their schema instead.
 *
 * @throws {OutboxError} `invalid-option`; `busy`, `unavailable` when the file cannot be written now
 */
export function setup(db: SqliteDatabase, options: { readonly prefix?: string } = {}): void {
  const client = clientOf(db)
  const statements = setupStatements(options.prefix)
  const connections = new Connections()
  if (client.inTransaction) connections.runInside(client, inOrder(statements))
  else connections.runAlone(client, 'write', inOrder(statements))
}

/** The text that `setup` runs, for those who keep their schema as SQL. */
export function setupSql(options: { readonly prefix?: string } = {}): string {
  return setupStatements(options.prefix)
    .map((statement) => `${statement};\n`)
    .join('\n')
}

function* inOrder(statements: readonly string[]): Steps<void> {
  for (const statement of statements) yield* query(statement)
}

function setupStatements(givenPrefix: string | undefined): readonly string[] {
  const { prefix, entries, sequences, aggregates, relays, leases, meta } = tableNames(givenPrefix)
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
  state TEXT NOT NULL DEFAULT 'pending',
  refused INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0,
  requeues INTEGER NOT NULL DEFAULT 0,
  occurred_at INTEGER NOT NULL DEFAULT (${nowMs}),
  enqueued_at INTEGER NOT NULL DEFAULT (${nowMs}),
  settled_at INTEGER,
  payload_bytes INTEGER NOT NULL GENERATED ALWAYS AS (${payloadBytes}) STORED,
  reason TEXT,
  headers TEXT NOT NULL DEFAULT '{}',
  payload TEXT NOT NULL,
  CONSTRAINT ${prefix}entries_partition_check CHECK (partition BETWEEN 0 AND 63),
  CONSTRAINT ${prefix}entries_state_check CHECK (state IN ('pending', 'parked', 'published', 'dead', 'discarded'))
)`,
    `CREATE UNIQUE INDEX IF NOT EXISTS ${prefix}entries_id ON ${entries} (id)`,
    `CREATE UNIQUE INDEX IF NOT EXISTS ${prefix}entries_sequence ON ${entries} (aggregate_type, aggregate_id, sequence)`,
    // what a relay looks through: parked entries are not in it
    `CREATE INDEX IF NOT EXISTS ${prefix}entries_scan ON ${entries} (partition, position) WHERE state = 'pending'`,
    // the beginning of one aggregate; the state is in it so that counting needs no rows
    `CREATE INDEX IF NOT EXISTS ${prefix}entries_order ON ${entries} (aggregate_type, aggregate_id, sequence, state) WHERE ${isPending}`,
    `CREATE INDEX IF NOT EXISTS ${prefix}entries_suspect ON ${entries} (partition, position) WHERE crashes > 0`,
    `CREATE INDEX IF NOT EXISTS ${prefix}entries_dead ON ${entries} (position) WHERE state = 'dead'`,
    `CREATE INDEX IF NOT EXISTS ${prefix}entries_settled ON ${entries} (settled_at) WHERE state IN ('published', 'discarded')`,
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
