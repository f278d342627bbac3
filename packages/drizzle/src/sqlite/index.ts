export {
  asTransaction,
  type LibsqlClient,
  type LibsqlDatabase,
  type LibsqlStatement,
  type LibsqlTransaction,
  type SqliteAsyncTransaction,
  type SqliteClient,
  type SqliteDatabase,
  type SqliteStatement,
  type SqliteSyncTransaction,
} from './handles.ts'
export {
  type LibsqlInbox,
  type SqliteInbox,
  type SqliteInboxOptions,
  sqliteInbox,
} from './inbox.ts'
export { setup, setupInbox, setupInboxSql, setupSql } from './setup.ts'
export {
  type LibsqlOutbox,
  type SqliteOutbox,
  type SqliteOutboxOptions,
  sqliteDefaults,
  sqliteOutbox,
} from './sqlite-outbox.ts'
