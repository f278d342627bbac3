export {
  asTransaction,
  type SqliteClient,
  type SqliteDatabase,
  type SqliteStatement,
  type SqliteSyncTransaction,
} from './handles.ts'
export {
  type OutboxTables,
  outboxAggregates,
  outboxEntries,
  outboxLeases,
  outboxMeta,
  outboxRelays,
  outboxSequences,
  outboxTables,
} from './schema.ts'
export { setup, setupSql } from './setup.ts'
export { type SqliteOutbox, type SqliteOutboxOptions, sqliteDefaults, sqliteOutbox } from './sqlite-outbox.ts'
