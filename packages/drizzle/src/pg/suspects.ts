import { suspectAt } from '@outbox/core/adapter'
import { hasEntries, hasRow } from './aside.ts'
import type { Beside } from './log/beside.ts'
import type { Names } from './names.ts'
import { isPending } from './states.ts'

/**
 * SQL for what relays may have died of: the oldest entry that is the head of its aggregate, of the leases in `fence`.
 *
 * Plan: the index of what has crashes is nearly always empty, and no other one serves.
 *
 * @param beside - a log that owes entries too
 */
export function suspects(names: Names, beside: Beside | undefined): string {
  const { entries } = names
  return `select s.aggregate_type, s.aggregate_id
  from fence
  cross join lateral (
    select * from ${entries} e
    where e.partition = fence.partition and e.crashes >= ${suspectAt} and ${isPending('e')}
    order by e.position
  ) s
  where not ${hasEntries(names, 's', 'e.sequence < s.sequence')}
    and not ${hasRow(names, 's', 'held.waiting_until > now()')}
    ${beside ? `and not ${beside.owesLower('s')}` : ''}
  order by s.position
  limit 1`
}
