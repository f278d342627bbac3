import type { CallOptions } from '@outbox/core'
import { untilAborted } from '@outbox/core/adapter'
import { type SQL, sql } from 'drizzle-orm'
import { translated } from './errors.ts'
import type { PgDatabase, PgTransaction } from './handles.ts'
import { NotPrepared, type Prepared } from './prepared.ts'
import type { Purpose } from './privileges.ts'
import { type Row, rowsOf } from './rows.ts'
import { inlined, partsOf, type Statement } from './statement.ts'

/**
 * The seam to the driver: everything that the store says to PostgreSQL goes through here. A package for a bare
 * driver, or for another query builder, replaces this file.
 */
export interface Session {
  /** Runs one statement, values bound. @throws what `translated` makes of the driver's error */
  run(statement: Statement, options?: CallOptions): Promise<readonly Row[]>
  /** Runs one statement, values written into it, so that it travels as one simple query. */
  runInlined(statement: Statement): Promise<readonly Row[]>
}

/**
 * @param purpose - what the statements are for, which an error about privileges tells
 * @param prepared - for the statements of a session on a database; one on a transaction has none
 */
export function sessionOf(handle: PgDatabase | PgTransaction, purpose: Purpose, prepared?: Prepared): Session {
  // `as never`: the parameter's type says that two versions of drizzle agree on none
  const execute = async (query: SQL): Promise<unknown> => handle.execute(query as never)
  const run = async (statement: Statement): Promise<unknown> => {
    try {
      return await (prepared?.run(statement) ?? execute(bound(statement)))
    } catch (error) {
      if (!(error instanceof NotPrepared)) throw error
      return execute(bound(statement))
    }
  }
  const rows = async (result: Promise<unknown>): Promise<readonly Row[]> => {
    try {
      return rowsOf(await result)
    } catch (error) {
      throw translated(error, purpose)
    }
  }
  return {
    run: async (statement, options) => {
      options?.signal?.throwIfAborted()
      return untilAborted(rows(run(statement)), options?.signal)
    },
    runInlined: (statement) => rows(execute(sql.raw(inlined(statement)))),
  }
}

function bound(statement: Statement): SQL {
  const { parts, between } = partsOf(statement)
  return sql.join(
    parts.flatMap((part, index) => (index === 0 ? [sql.raw(part)] : [sql.param(between[index - 1]), sql.raw(part)])),
  )
}
