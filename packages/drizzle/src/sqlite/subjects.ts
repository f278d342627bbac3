import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import { type TableNames, tableNames } from './names.ts'
import { inboxTable, outboxTables } from './schema.ts'

/**
 * The version of the outbox's tables. Raise it with every change that the columns do not tell, and let the migration
 * write it down: the row `version` of the table `meta`. Until somebody has (the first relay does), the columns tell.
 */
export const tablesVersion: number = 1

/** The version of the inbox's table, likewise: the row `inbox-version` of the table `meta`, if that is there. */
const inboxVersion = 1

/** One outbox, or one inbox, as a check sees it. */
export interface Subject {
  readonly title: 'outbox' | 'inbox'
  readonly names: TableNames
  readonly tables: readonly SQLiteTable[]
  /** where its version is written down, in the table `meta` */
  readonly versionKey: string
  readonly version: number
}

export function outboxSubject(prefix?: string): Subject {
  const tables = Object.values(outboxTables({ ...(prefix !== undefined && { prefix }) }))
  return { title: 'outbox', names: tableNames(prefix), tables, versionKey: 'version', version: tablesVersion }
}

export function inboxSubject(prefix?: string): Subject {
  const tables = [inboxTable({ ...(prefix !== undefined && { prefix }) })]
  return { title: 'inbox', names: tableNames(prefix), tables, versionKey: 'inbox-version', version: inboxVersion }
}
