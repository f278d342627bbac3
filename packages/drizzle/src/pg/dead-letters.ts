import { type CallOptions, type DeadLetter, isUuid } from '@outbox/core'
import { lentColumns, lentContent, millisecondsOf } from './content.ts'
import type { Names } from './names.ts'
import { dateIn, numberIn, textIn } from './rows.ts'
import type { Session } from './session.ts'
import { arrayOf, idsGiven, whole } from './statement.ts'

/** `DeadLetters.list`. The entry of `after` keeps its place when it is requeued or discarded between two pages. */
export async function listDead(
  session: Session,
  { entries }: Names,
  page: { readonly after?: string; readonly limit: number } & CallOptions,
): Promise<readonly DeadLetter[]> {
  if (page.after !== undefined && !isUuid(page.after)) return []
  const after = page.after === undefined ? '0' : `(select position from ${entries} where id = $2::text::uuid)`
  const text = `
select ${lentColumns('e')}, e.reason, ${millisecondsOf('e.settled_at')} as died_at
from ${entries} e
where e.state = 'dead' and e.position > ${after}
order by e.position
limit $1::text::bigint`
  const values = [String(whole(page.limit)), ...(page.after === undefined ? [] : [page.after])]
  const rows = await session.run({ text, values }, page)
  return rows.map((row) => ({
    entry: { ...lentContent(row), partition: numberIn(row, 'partition') },
    reason: textIn(row, 'reason'),
    diedAt: dateIn(row, 'died_at'),
  }))
}

/**
 * `DeadLetters.requeue`. The entry's position and sequence are what they were, so it comes back at its old place, and
 * as the first of its aggregate under `block`.
 */
export async function requeueDead(
  session: Session,
  { entries, aggregates }: Names,
  ids: readonly string[],
  options?: CallOptions,
): Promise<number> {
  const text = `
with revived as (
  update ${entries} e set
    state = 'pending', refused = 0, crashes = 0, requeues = e.requeues + 1, settled_at = null, reason = null
  from ${idsGiven}
  where e.id = given.id and e.state = 'dead'
  returning e.id, e.aggregate_type, e.aggregate_id
),
due as (
  ${freeing(aggregates, 'revived', 'now()')}
)
select count(*)::int as count from revived`
  return counted(session, text, ids, options)
}

/** `DeadLetters.discard`. */
export async function discardDead(
  session: Session,
  { entries, aggregates }: Names,
  ids: readonly string[],
  options?: CallOptions,
): Promise<number> {
  const text = `
with discarded as (
  update ${entries} e set state = 'discarded', settled_at = now()
  from ${idsGiven}
  where e.id = given.id and e.state = 'dead'
  returning e.id, e.aggregate_type, e.aggregate_id
),
unblocked as (
  ${freeing(aggregates, 'discarded', 'least(a.waiting_until, now())')}
    and a.blocked_by && gone.ids
)
select count(*)::int as count from discarded`
  return counted(session, text, ids, options)
}

/** Takes the ids in `from` out of what blocks their aggregates; those that nothing blocks any more are due. */
function freeing(aggregates: string, from: string, due: string): string {
  return `update ${aggregates} a set
    blocked_by = array(select unnest(a.blocked_by) except select unnest(gone.ids)),
    waiting_until = case when a.blocked_by <@ gone.ids then ${due} else 'infinity' end
  from (
    select aggregate_type, aggregate_id, array_agg(id) as ids from ${from} group by aggregate_type, aggregate_id
  ) gone
  where a.aggregate_type = gone.aggregate_type and a.aggregate_id = gone.aggregate_id`
}

async function counted(
  session: Session,
  text: string,
  ids: readonly string[],
  options: CallOptions | undefined,
): Promise<number> {
  const [row] = await session.run({ text, values: [arrayOf(ids.filter(isUuid))] }, options)
  return row ? numberIn(row, 'count') : 0
}
