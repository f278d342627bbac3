import { type CallOptions, type DeadLetter, type DeadLetterFilter, type DeadLetters, isUuid } from '@outbox/core'
import { bulkDeadLetters } from '@outbox/core/adapter'
import { lentColumns, lentContent, millisecondsOf } from './content.ts'
import type { Names } from './names.ts'
import { beginning } from './plans.ts'
import { dateIn, numberIn, textIn } from './rows.ts'
import type { Session } from './session.ts'
import { arrayOf, idsGiven, isStorable, whole } from './statement.ts'
import { isDead } from './states.ts'

/** The dead letters of an outbox, whatever its engine: they stand in the table of entries. */
export function deadLettersIn(session: Session, names: Names): DeadLetters {
  return bulkDeadLetters({
    list: (page) => listDead(session, names, page),
    requeue: (ids, options) => requeueDead(session, names, ids, options),
    discard: (ids, options) => discardDead(session, names, ids, options),
  })
}

/**
 * `DeadLetters.list`. The entry of `after` keeps its place when it is requeued or discarded between two pages.
 *
 * Plan: a range of the index of dead entries by position, however many others there are; a filter is applied to these.
 * Of one aggregate there may be so few that the planner had better look for that first, and sort.
 */
async function listDead(
  session: Session,
  { entries }: Names,
  page: { readonly after?: string; readonly limit: number; readonly where?: DeadLetterFilter } & CallOptions,
): Promise<readonly DeadLetter[]> {
  if (page.after !== undefined && !isUuid(page.after)) return []
  const conditions = [...pageConditions(entries, page.after), ...filterConditions(page.where ?? {})]
  // a name that cannot be stored is the name of nothing
  if (!conditions.every(({ value }) => isStorable(value))) return []
  const columns = `${lentColumns('e')}, e.reason, ${millisecondsOf('e.settled_at')}::text as died_at, e.settled_by`
  const from = `${entries} e`
  const where = ["e.state = 'dead'", ...conditions.map(({ sql }, index) => sql(`$${index + 2}`))].join(' and ')
  const orderBy = 'e.position'
  const limit = '$1::text::bigint'
  const text =
    page.where?.aggregateId === undefined
      ? beginning({ columns, from, where, orderBy, limit })
      : `select ${columns} from ${from} where ${where} order by ${orderBy} limit ${limit}`
  const values = [String(whole(page.limit)), ...conditions.map(({ value }) => value)]
  const rows = await session.run({ text, values }, page)
  return rows.map((row) => ({
    entry: { ...lentContent(row), partition: numberIn(row, 'partition') },
    reason: textIn(row, 'reason'),
    diedAt: dateIn(row, 'died_at'),
    holder: textIn(row, 'settled_by'),
  }))
}

/** A condition on an entry `e`, given the placeholder of its value. */
interface Condition {
  readonly sql: (placeholder: string) => string
  readonly value: string
}

function pageConditions(entries: string, after: string | undefined): readonly Condition[] {
  if (after === undefined) return []
  const sql = (placeholder: string): string =>
    `e.position > (select position from ${entries} where id = ${placeholder}::text::uuid)`
  return [{ sql, value: after }]
}

function filterConditions({
  eventType,
  aggregateType,
  aggregateId,
  diedBefore,
}: DeadLetterFilter): readonly Condition[] {
  const named = { event_type: eventType, aggregate_type: aggregateType, aggregate_id: aggregateId }
  const conditions = Object.entries(named).flatMap(([column, value]): Condition[] =>
    value === undefined ? [] : [{ sql: (placeholder) => `e.${column} = ${placeholder}::text`, value }],
  )
  if (diedBefore === undefined) return conditions
  // compared as it is shown, in milliseconds: a Date may be further away than a timestamp can be
  const sql = (placeholder: string): string => `${millisecondsOf('e.settled_at')} < ${placeholder}::text::bigint`
  return [...conditions, { sql, value: String(diedBefore.getTime()) }]
}

/**
 * `DeadLetters.requeue`. The entry's position and sequence are what they were, so it comes back at its old place, and
 * as the first of its aggregate under `block`. One whose number another entry has (`moveAside` of the log) has no place
 * to come back to.
 */
async function requeueDead(
  session: Session,
  { entries, aggregates }: Names,
  ids: readonly string[],
  options?: CallOptions,
): Promise<number> {
  const text = `
with ${lettersLocked(entries)},
revived as (
  update ${entries} e set
    state = 'pending', refused = 0, crashes = 0, requeues = e.requeues + 1,
    settled_at = null, settled_by = null, reason = null
  from letters
  where e.id = letters.id and e.sequence >= 0 and ${isDead('e')}
  returning e.id, e.aggregate_type, e.aggregate_id
),
due as (
  ${freeing(aggregates, 'revived', 'now()')}
)
select count(*)::int as count from revived`
  return counted(session, text, ids, options)
}

/** `DeadLetters.discard`. */
async function discardDead(
  session: Session,
  { entries, aggregates }: Names,
  ids: readonly string[],
  options?: CallOptions,
): Promise<number> {
  const text = `
with ${lettersLocked(entries)},
discarded as (
  update ${entries} e set state = 'discarded', settled_at = now()
  from letters
  where e.id = letters.id and ${isDead('e')}
  returning e.id, e.aggregate_type, e.aggregate_id
),
unblocked as (
  ${freeing(aggregates, 'discarded', 'least(a.waiting_until, now())')}
    and a.blocked_by && gone.ids
)
select count(*)::int as count from discarded`
  return counted(session, text, ids, options)
}

/** A CTE: those that are given and dead, locked in one order, whatever the order they are given in. */
function lettersLocked(entries: string): string {
  return `letters as materialized (
  select e.id from ${idsGiven} join ${entries} e on e.id = given.id where ${isDead('e')} order by e.id for update of e
)`
}

/**
 * Takes the ids in `from` out of what blocks their aggregates; those that nothing blocks any more are due. The rows are
 * locked in one order: a fetch locks several of them too.
 */
function freeing(aggregates: string, from: string, due: string): string {
  return `update ${aggregates} a set
    blocked_by = array(select unnest(a.blocked_by) except select unnest(gone.ids)),
    waiting_until = case when a.blocked_by <@ gone.ids then ${due} else 'infinity' end
  from (
    select gone.*
    from (
      select aggregate_type, aggregate_id, array_agg(id) as ids from ${from} group by aggregate_type, aggregate_id
    ) gone
    join ${aggregates} held using (aggregate_type, aggregate_id)
    order by aggregate_type, aggregate_id
    for update of held
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
