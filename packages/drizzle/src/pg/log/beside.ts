import { suspectAt } from '@outbox/core/adapter'
import type { Names } from '../names.ts'
import { pendingStates, settledStates } from '../states.ts'
import { isPassed, standsAside } from './cursor.ts'

/** How the mark engine's fetch minds a log beside its table. */
export interface Beside {
  /** SQL: the log owes a lower sequence of the aggregate than the entry `e` has */
  readonly isBehind: (e: string) => string
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
    isBehind: (e) => `coalesce((
      select not lower.is_passed
      from (
        select l.id, ${isPassed('l', 'c')} is true as is_passed
        from ${log} l left join ${log_cursors} c on c.partition = l.partition
        where l.aggregate_type = ${e}.aggregate_type and l.aggregate_id = ${e}.aggregate_id
          and l.sequence < ${e}.sequence
        order by l.sequence desc
      ) lower
      where lower.is_passed or not ${standsAside(names, 'lower')}
      limit 1), false)`,
    isBelowPassed: (e) => `coalesce((
      select ${isPassed('l', 'c')} and not ${standsAside(names, 'l')}
      from ${log} l join ${log_cursors} c on c.partition = l.partition
      where l.aggregate_type = ${e}.aggregate_type and l.aggregate_id = ${e}.aggregate_id
        and l.sequence > ${e}.sequence
      order by l.sequence
      limit 1), false)`,
  }
}

/** SQL for what a relay may have died of: the oldest that is the head of its aggregate, of the leases in `fence`. */
export function suspectOf(names: Names, beside: Beside = besideLog(names, false)): string {
  return suspects(names, beside)
}

/**
 * Plan: the index of what has crashes is nearly always empty. The states are excluded here, not listed, so that no other
 * index serves: the planner would read all that is pending for the few that it expects.
 */
export function suspects({ entries, aggregates }: Names, beside: Beside | undefined): string {
  return `select e.aggregate_type, e.aggregate_id
  from fence join ${entries} e on e.partition = fence.partition and e.crashes > 0 and e.crashes >= ${suspectAt}
    and e.state <> 'dead' and e.state not in ${settledStates}
  where not exists (
      select from ${entries} earlier
      where earlier.aggregate_type = e.aggregate_type and earlier.aggregate_id = e.aggregate_id
        and earlier.state in ${pendingStates} and earlier.sequence < e.sequence)
    and not exists (
      select from ${aggregates} a
      where a.aggregate_type = e.aggregate_type and a.aggregate_id = e.aggregate_id and a.waiting_until > now())
    ${beside ? `and not ${beside.isBehind('e')}` : ''}
  order by e.position
  limit 1`
}
