import type { Names } from '../names.ts'
import { beginning } from '../plans.ts'
import { suspects } from '../suspects.ts'
import { isPassed, standsAside } from './cursor.ts'

/** How the mark engine's fetch minds a log beside its table. */
export interface Beside {
  /** SQL: the log owes a lower sequence of the aggregate than the entry `e` has */
  readonly owesLower: (e: string) => string
  /** SQL: the log has passed a higher sequence than the entry `e` has */
  readonly isBelowPassed: (e: string) => string
  /** something of the log is in the batch: a suspect must not join it */
  readonly hasCompany: boolean
}

export function besideLog(names: Names, hasCompany: boolean): Beside {
  const { log, log_cursors } = names
  return {
    hasCompany,
    // Plan: the next lower row of the aggregate that is passed, or does not stand aside, ends the search: what does
    // not stand aside ascends with positions, so below a passed one all are passed.
    owesLower: (e) => `coalesce((
      select not lower.is_passed
      from (
        ${beginning({
          columns: `l.id, ${isPassed('l', 'c')} is true as is_passed`,
          from: `${log} l left join ${log_cursors} c on c.partition = l.partition`,
          where: `l.aggregate_type = ${e}.aggregate_type and l.aggregate_id = ${e}.aggregate_id
            and l.sequence < ${e}.sequence`,
          orderBy: 'l.sequence desc',
        })}
      ) lower
      where lower.is_passed or not ${standsAside(names, 'lower')}
      limit 1), false)`,
    isBelowPassed: (e) => `coalesce((
      ${beginning({
        columns: `${isPassed('l', 'c')} and not ${standsAside(names, 'l')}`,
        from: `${log} l join ${log_cursors} c on c.partition = l.partition`,
        where: `l.aggregate_type = ${e}.aggregate_type and l.aggregate_id = ${e}.aggregate_id
          and l.sequence > ${e}.sequence`,
        orderBy: 'l.sequence',
        limit: 1,
      })}), false)`,
  }
}

/** SQL for what a relay may have died of: the oldest that is the head of its aggregate, of the leases in `fence`. */
export function suspectOf(names: Names, beside: Beside = besideLog(names, false)): string {
  return suspects(names, beside)
}
