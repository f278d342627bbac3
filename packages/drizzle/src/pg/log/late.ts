import type { Names } from '../names.ts'
import { beginning, isAny } from '../plans.ts'
import { isPublished } from '../states.ts'
import { isPassed, standsAside } from './cursor.ts'

/**
 * SQL for whether a row of the log is late: a higher sequence of its aggregate was published before. Only where callers
 * number; others cost one look at a table of a few rows.
 *
 * What stands aside was published if it says so there, and not because the log has passed it: it may be dead. The order
 * in the subquery keeps the planner from joining what is a few probes.
 *
 * @param row - an alias, with the columns of the log; a table `cursor` has the cursor of its partition
 * @returns an expression, and the joins that it needs
 */
export function lateness(names: Names, row: string): { readonly isLate: string; readonly joins: string } {
  const { entries, meta, log } = names
  const isAbove = (other: string): string =>
    `${other}.aggregate_type = ${row}.aggregate_type and ${other}.aggregate_id = ${row}.aggregate_id
      and ${other}.sequence > ${row}.sequence`
  return {
    isLate: `numbered.key is not null and (above.is_passed or ${isAny({
      from: `${entries} e`,
      where: `numbered.key is not null and ${isAbove('e')} and ${isPublished('e')}`,
      orderBy: 'e.sequence',
    })}) is true`,
    joins: `left join ${meta} numbered on numbered.key = 'sequence-source:' || ${row}.aggregate_type and numbered.value = 'caller'
left join lateral (
  select next.is_passed
  from (
    ${beginning({
      columns: `n.id, ${isPassed('n', 'cursor')} as is_passed`,
      from: `${log} n join cursor on cursor.partition = ${row}.partition`,
      where: `numbered.key is not null and ${isAbove('n')}`,
      orderBy: 'n.sequence',
    })}
  ) next
  where not next.is_passed or not ${standsAside(names, 'next')}
  limit 1
) above on true`,
  }
}
