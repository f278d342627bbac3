export { asTransaction, type PgDatabase, type PgTransaction } from './handles.ts'
export type { Place } from './names.ts'
export { type NotifyMode, type PgOutbox, type PgOutboxOptions, pgOutbox } from './outbox.ts'
export { setup, setupSql } from './setup.ts'
