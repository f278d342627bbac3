import { OutboxError } from '@outbox/core'
import type { Connection } from './connection.ts'
import { text } from './rows.ts'

// #region tables
const tables = `
CREATE TABLE IF NOT EXISTS outbox_entries (
  position       INTEGER PRIMARY KEY AUTOINCREMENT,
  id             TEXT NOT NULL UNIQUE,
  partition      INTEGER NOT NULL,
  aggregate_type TEXT NOT NULL,
  aggregate_id   TEXT NOT NULL,
  sequence       INTEGER NOT NULL,
  event_type     TEXT NOT NULL,
  occurred_at    INTEGER NOT NULL,
  headers        TEXT NOT NULL,
  payload        TEXT NOT NULL,
  enqueued_at    REAL NOT NULL DEFAULT (unixepoch('subsec') * 1000),
  is_late        INTEGER NOT NULL,
  state          TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'published', 'dead', 'discarded')),
  refused        INTEGER NOT NULL DEFAULT 0,
  crashes        INTEGER NOT NULL DEFAULT 0,
  requeues       INTEGER NOT NULL DEFAULT 0,
  in_flight      INTEGER NOT NULL DEFAULT 0,
  blocks         INTEGER NOT NULL DEFAULT 0,
  settled_at     REAL,
  settled_by     TEXT,
  reason         TEXT,
  UNIQUE (aggregate_type, aggregate_id, sequence)
);
CREATE INDEX IF NOT EXISTS outbox_pending ON outbox_entries (partition, position) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS outbox_dead ON outbox_entries (aggregate_type, aggregate_id) WHERE state = 'dead';
CREATE INDEX IF NOT EXISTS outbox_in_flight ON outbox_entries (partition) WHERE in_flight;
CREATE INDEX IF NOT EXISTS outbox_ended ON outbox_entries (settled_at) WHERE state IN ('published', 'discarded');

CREATE TABLE IF NOT EXISTS outbox_aggregates (
  aggregate_type    TEXT NOT NULL,
  aggregate_id      TEXT NOT NULL,
  last_sequence     INTEGER NOT NULL,
  highest_published INTEGER NOT NULL DEFAULT -1,
  waiting_until     REAL NOT NULL DEFAULT 0,
  PRIMARY KEY (aggregate_type, aggregate_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox_types (aggregate_type TEXT PRIMARY KEY, numbered_by TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outbox_relays (holder TEXT PRIMARY KEY, beat INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS outbox_leases (partition INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, holder TEXT);
CREATE TABLE IF NOT EXISTS outbox_source (source TEXT NOT NULL);

CREATE VIEW IF NOT EXISTS outbox_due AS
  SELECT * FROM outbox_entries e
  WHERE state = 'pending'
    AND NOT EXISTS (
      SELECT 1 FROM outbox_aggregates a
      WHERE a.aggregate_type = e.aggregate_type AND a.aggregate_id = e.aggregate_id
        AND a.waiting_until > unixepoch('subsec') * 1000)
    AND NOT EXISTS (
      SELECT 1 FROM outbox_entries d
      WHERE d.aggregate_type = e.aggregate_type AND d.aggregate_id = e.aggregate_id AND d.state = 'dead' AND d.blocks);
`
// #endregion

const inboxTable = `
CREATE TABLE IF NOT EXISTS outbox_inbox (
  consumer   TEXT NOT NULL,
  message_id TEXT NOT NULL,
  handled_at REAL NOT NULL DEFAULT (unixepoch('subsec') * 1000),
  PRIMARY KEY (consumer, message_id)
);
CREATE INDEX IF NOT EXISTS outbox_inbox_handled ON outbox_inbox (handled_at);
`

/** Makes what the outbox needs; what is there already stays as it is. Any number of processes may call it at once. */
export function setup(connection: Connection): void {
  connection.script(tables)
  connection.transaction(({ sql }) => {
    sql.run`
      WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 63)
      INSERT INTO outbox_leases SELECT n, 0, NULL FROM numbers WHERE true ON CONFLICT DO NOTHING`
    sql.run`INSERT INTO outbox_source SELECT ${crypto.randomUUID()} WHERE NOT EXISTS (SELECT 1 FROM outbox_source)`
  })
}

/** The same for an inbox, whose database may have no outbox. */
export function setupInbox(connection: Connection): void {
  connection.script(inboxTable)
}

const outboxParts = ['entries', 'aggregates', 'types', 'relays', 'leases', 'source', 'due'].map(
  (name) => `outbox_${name}`,
)

/** @throws {OutboxError} `setup-required` with the name of everything that is missing */
export function checkTables(connection: Connection, wanted: readonly string[] = outboxParts): void {
  const rows = connection.transaction(({ sql }) => sql.all`SELECT name FROM sqlite_schema`)
  const found = new Set(rows.map((row) => text(row, 'name')))
  const missing = wanted.filter((name) => !found.has(name))
  if (missing.length === 0) return
  const message = `Not in this database: ${missing.join(', ')}. Call setup(connection), or setupInbox(connection), once.`
  throw new OutboxError('setup-required', message, { missing })
}
