import { type CallOptions, OutboxError } from '@outbox/core'
import { untilAborted } from '@outbox/core/adapter'
import { sql } from 'drizzle-orm'
import { saysTimeIsOver, translated } from './errors.ts'
import { clientOf, type MysqlDatabase, type MysqlTransaction } from './handles.ts'
import { usualPlan } from './indexes.ts'
import type { Purpose } from './privileges.ts'
import { type Row, rowsOf, type Written, writtenOf } from './rows.ts'

/**
 * The seam to the driver: everything that the store says to the server goes through here. A package for a bare driver,
 * or for another query builder, replaces this file.
 */
export interface Session {
  /** @throws what `translated` makes of the driver's error */
  read(text: string, options?: CallOptions): Promise<readonly Row[]>
  /** @throws what `translated` makes of the driver's error */
  write(text: string, options?: CallOptions): Promise<Written>
}

/** Sends a statement before it returns, so that two calls in a row reach the connection with nothing in between. */
export function send(handle: MysqlDatabase | MysqlTransaction, text: string): Promise<unknown> {
  // `as never`: the parameter's type says that two versions of drizzle agree on none
  return Promise.resolve(handle.execute(sql.raw(text) as never))
}

/** A session in the transaction of somebody who runs it again from its beginning when it is told `busy`. */
export function sessionIn(handle: MysqlTransaction, purpose: Purpose): Session {
  return sessionOf((text) => send(handle, text), purpose, 1)
}

/** How often a statement that commits by itself is sent before its caller is told that the database is busy. */
const patience = 10

/**
 * A session whose statements commit by themselves. One that met a deadlock has changed nothing, and is sent again. So is
 * one whose time was over, once: it has waited already.
 */
export function sessionOn(handle: MysqlDatabase, purpose: Purpose): Session {
  const client = clientOf(handle)
  // Not through drizzle: it asks a function about every column of every row, and has texts searched for placeholders.
  const statement = (text: string): Promise<unknown> =>
    client ? client.query({ sql: text, values: null, namedPlaceholders: false, typeCast: true }) : send(handle, text)
  return sessionOf((text) => statement(planned(text)), purpose, patience)
}

/** With the hint at its beginning, which costs some tens of microseconds; a WITH has it in the query behind. */
function planned(text: string): string {
  return text.replace(/^\W*(?:select|insert|update|delete)\b/, `$& ${usualPlan}`)
}

function sessionOf(statement: (text: string) => Promise<unknown>, purpose: Purpose, attempts: number): Session {
  const attempt = async (text: string): Promise<unknown> => {
    try {
      return await statement(text)
    } catch (error) {
      throw translated(error, purpose)
    }
  }
  const execute = async (text: string, options: CallOptions | undefined): Promise<unknown> => {
    for (let left = attempts; ; left--) {
      options?.signal?.throwIfAborted()
      try {
        return await attempt(text)
      } catch (error) {
        if (left <= 1 || !OutboxError.is(error, 'busy')) throw error
        if (saysTimeIsOver(error)) left = Math.min(left, 2)
      }
    }
  }
  const run = (text: string, options: CallOptions | undefined): Promise<unknown> =>
    untilAborted(execute(text, options), options?.signal)
  return {
    read: async (text, options) => rowsOf(await run(text, options)),
    write: async (text, options) => writtenOf(await run(text, options)),
  }
}
