import type { CallOptions } from '@outbox/core'
import type { Query, Steps } from './steps.ts'

/** `write` holds the write lock of the file from the first statement on. */
export type Access = 'read' | 'write'

/**
 * Runs one call of the relay's half: in a transaction of its own, which no transaction of the user has a part in.
 *
 * @throws {OutboxError} `busy` when somebody else's transaction is in the way for longer than `maxWaitMs`
 */
export type Transact = <Result>(access: Access, steps: () => Steps<Result>, options?: CallOptions) => Promise<Result>

/** Between two looks at a lock that somebody else holds. */
export const pauseMs = 5

/**
 * How long a commit waits for readers, at most, with the thread at a standstill; they are in its way without WAL alone.
 * While it waits SQLite lets no new ones in: where there is always somebody who reads, it would never come to its end
 * otherwise.
 */
export const commitWaitMs = 20

/**
 * The write lock of the file. SQLite has one writer: what is read under it holds until the transaction ends.
 *
 * Plan: by a number of a row that there is not, whatever statistics say of the table.
 *
 * @param column - any column of it
 */
export function writeLock(table: string, column: string): Query {
  return { text: `UPDATE ${table} SET ${column} = ${column} WHERE rowid = -1`, values: [], takesLock: true }
}
