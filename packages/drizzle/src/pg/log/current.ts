import { type CallOptions, OutboxError } from '@outbox/core'
import { booleanIn, type Row } from '../rows.ts'
import type { Session } from '../session.ts'
import type { Statement } from '../statement.ts'

/** Each time it has lost to one more statement. */
const mostAttempts = 20

/**
 * Runs a statement, and again where a cursor that it read moved before it could write it: its column `is_stale` says so.
 * Under a lease that stands, only a fetch that its caller gave up comes in between.
 *
 * @param statement - or what makes it for the first attempt, the second, and so on
 *
 * @throws {OutboxError} `busy` if that does not end
 */
export async function runUntilCurrent(
  session: Session,
  statement: Statement | ((attempt: number) => Statement),
  options: CallOptions,
): Promise<readonly Row[]> {
  for (let attempt = 1; attempt <= mostAttempts; attempt++) {
    const rows = await whileNumbersMeet(() =>
      session.run(typeof statement === 'function' ? statement(attempt) : statement, options),
    )
    if (!rows.some((row) => booleanIn(row, 'is_stale'))) return rows
  }
  throw busy('Other statements keep moving the cursors of these leases: call again.')
}

/**
 * Runs what moves rows aside, and again where one of them met an entry with its number that was committed meanwhile: now
 * it is seen.
 *
 * @throws {OutboxError} `busy` if that does not end
 */
export async function whileNumbersMeet<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; attempt <= mostAttempts; attempt++) {
    try {
      return await run()
    } catch (error) {
      if (!isUniqueViolation(error)) throw error
    }
  }
  throw busy('Producers with the mark engine keep giving numbers that the log has, too: call again.')
}

function busy(message: string): OutboxError<'busy'> {
  return new OutboxError('busy', message, { system: 'postgresql' })
}

function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '23505'
}
