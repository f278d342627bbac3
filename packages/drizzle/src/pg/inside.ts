import { OutboxError } from '@outbox/core'
import { booleanIn, type Row } from './rows.ts'

/*
 * A fetch in a transaction that has written would read what may be rolled back: it reads nothing, and says so.
 */

/**
 * SQL for the table `around`. A statement of its own has written nothing before its first lock: so this is looked at
 * before, by `isOutside` in what locks.
 */
export const around = `around as materialized (
  select pg_current_xact_id_if_assigned() is not null as is_open
)`

/** SQL, a condition: whether nothing was written around the statement. */
export const isOutside = 'not (select is_open from around)'

/** SQL for the column that `checkOutside` reads. */
export const isInside = '(select is_open from around) as is_inside'

/** @throws {OutboxError} `busy` for the answer of a statement inside of a transaction that has written */
export function checkOutside(rows: readonly Row[]): void {
  if (!rows.some((row) => booleanIn(row, 'is_inside'))) return
  throw new OutboxError(
    'busy',
    'A transaction is open on the connection that the outbox reads through, and what it has written may be rolled back: give pgOutbox a database on a pool. Nothing was read.',
    { system: 'postgresql' },
  )
}
