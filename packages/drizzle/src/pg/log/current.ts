import { type CallOptions, OutboxError } from '@outbox/core'
import { booleanIn, type Row } from '../rows.ts'
import type { Session } from '../session.ts'
import type { Statement } from '../statement.ts'

/** Each time it has lost to one more statement. */
const mostAttempts = 20

/**
 * Runs a statement, and again where a cursor that it read moved before it could write it: its column `is_stale` says so.
 * Under a lease that stands, only a fetch that its caller gave up comes in between. Again as well where a row that it
 * moved aside met one that was committed meanwhile: now it is seen.
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
    try {
      const rows = await session.run(typeof statement === 'function' ? statement(attempt) : statement, options)
      if (!rows.some((row) => booleanIn(row, 'is_stale'))) return rows
    } catch (error) {
      if (!isUniqueViolation(error)) throw error
    }
  }
  throw new OutboxError('busy', 'Other statements keep moving the cursors of these leases: call again.', {
    system: 'postgresql',
  })
}

function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '23505'
}
