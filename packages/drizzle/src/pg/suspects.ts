import { suspectAt } from '@outbox/core/adapter'
import type { Beside } from './log/beside.ts'
import type { Names } from './names.ts'
import { pendingStates, settledStates } from './states.ts'

/**
 * SQL for what relays may have died of: the oldest entry that is the head of its aggregate, of the leases in `fence`.
 *
 * Plan: the index of what has crashes is nearly always empty. The states are excluded here, not listed, so that no other
 * index serves: the planner would read all that is pending for the few that it expects.
 *
 * @param beside - a log that owes entries too
 */
export function suspects({ entries, aggregates }: Names, beside: Beside | undefined): string {
  return `select e.aggregate_type, e.aggregate_id
  from fence join ${entries} e on e.partition = fence.partition and e.crashes >= ${suspectAt}
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
