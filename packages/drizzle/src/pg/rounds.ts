import type { Cleared } from '../shared/rounds.ts'
import { numberIn, type Row } from './rows.ts'

/** What the columns `parked` and `emptied` tell. */
export function clearedIn(rows: readonly Row[]): Cleared {
  const [first] = rows
  const parked = first ? numberIn(first, 'parked') : 0
  return { parked, hasCleared: parked > 0 || (first !== undefined && numberIn(first, 'emptied') > 0) }
}
