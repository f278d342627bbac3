import type { CallOptions } from '@outbox/core'
import type { Causal, Database } from './database.ts'
import type { FullPartitions } from './full.ts'
import type { Names } from './names.ts'
import type { Applied } from './settle-log.ts'
import type { ToUuid } from './uuids.ts'

/** What the relay's calls on one outbox share. */
export interface Context {
  readonly names: Names
  readonly database: Database
  readonly toUuid: () => ToUuid
  /** what this process knows to be applied; it only saves work */
  readonly applied: Applied
  /** partitions of which this process's last look did not see the end; it only saves work */
  readonly full: FullPartitions
  /** ids of settles and of notes, ascending in this process: of two under one lease the later has the higher */
  readonly newLeaseWriteId: () => string
  /** the name of the outbox, once a call has read it */
  readonly source: { name: string | undefined }
}

/** The same for one call. */
export function under(context: Context, options: CallOptions | undefined, causal?: Causal): Context {
  return { ...context, database: context.database.under(options, causal) }
}
