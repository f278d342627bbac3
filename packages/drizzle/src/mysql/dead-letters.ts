import { type CallOptions, type DeadLetter, type DeadLetterFilter, isUuid, OutboxError } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import { lentColumns, lentContent, millisecondsOf, now } from './content.ts'
import { nameIn } from './found.ts'
import { by, byKey, forEachPartition } from './indexes.ts'
import { givenTable, inParts, isStorable, textLiteral, uuidDigits, uuidLiteral, whole } from './literals.ts'
import type { Names } from './names.ts'
import { booleanIn, dateIn, numberIn, type Row, textIn, uuidIn } from './rows.ts'
import type { Session } from './session.ts'
import { allPartitions } from './trait.ts'

/**
 * `DeadLetters.list`. The entry of `after` keeps its place when it is requeued or discarded between two pages.
 *
 * Plan: for each partition a range of the index of the scan, by position; a filter is applied to these.
 */
export async function listDead(
  session: Session,
  names: Names,
  page: { readonly after?: string; readonly limit: number; readonly where?: DeadLetterFilter } & CallOptions,
): Promise<readonly DeadLetter[]> {
  const { entries } = names
  if (page.after !== undefined && !isUuid(page.after)) return []
  const [after] = page.after === undefined ? [] : await positionOf(session, names, page.after, page)
  if (page.after !== undefined && after === undefined) return []
  const conditions = filterConditions(page.where ?? {})
  // not "above 0" where all are meant: see `standingLeases`
  if (after !== undefined) conditions.push(`position > ${after}`)
  const dead = forEachPartition(
    allPartitions,
    (partition) =>
      `select position from ${entries} ${by(names, 'entries_scan')}
      where \`partition\` = ${partition} and state = 'dead' and place = 'scanned'
        ${conditions.map((condition) => `and ${condition}`).join(' ')}
      order by position limit ${whole(page.limit)}`,
  )
  const rows = await session.read(
    `select ${lentColumns('e')}, cast(e.reason as binary) as reason, ${millisecondsOf('e.settled_at')} as died_at,
      e.settled_by
    from (select position from (${dead}) found order by position limit ${whole(page.limit)}) oldest
    straight_join ${entries} e ${byKey} on e.position = oldest.position and e.state = 'dead'
    order by e.position`,
    page,
  )
  return rows.map((row) => ({
    entry: { ...lentContent(row), partition: numberIn(row, 'partition') },
    reason: textIn(row, 'reason'),
    diedAt: dateIn(row, 'died_at'),
    holder: textIn(row, 'settled_by'),
  }))
}

async function positionOf(
  session: Session,
  names: Names,
  id: string,
  options: CallOptions,
): Promise<readonly number[]> {
  const rows = await session.read(
    `select position from ${names.entries} ${by(names, 'entries_id')} where id = ${uuidLiteral(id)}`,
    options,
  )
  return rows.map((row) => numberIn(row, 'position'))
}

function filterConditions({ eventType, aggregateType, aggregateId, diedBefore }: DeadLetterFilter): string[] {
  const named = { event_type: eventType, aggregate_type: aggregateType, aggregate_id: aggregateId }
  const conditions = Object.entries(named).flatMap(([column, value]) =>
    // a text that is not Unicode is the name of nothing
    value === undefined ? [] : [isStorable(value) ? `${column} = ${textLiteral(value)}` : 'false'],
  )
  if (diedBefore === undefined) return conditions
  // compared as it is shown, in milliseconds: a Date may be further away than a time can be
  return [...conditions, `${millisecondsOf('settled_at')} < ${diedBefore.getTime()}`]
}

/**
 * `DeadLetters.requeue`. The entry's position and sequence are what they were, so it comes back at its old place, and
 * as the first of its aggregate under `block`.
 */
export function requeueDead(
  session: Session,
  names: Names,
  ids: readonly string[],
  options?: CallOptions,
): Promise<number> {
  const change = `e.state = 'pending', e.refused = 0, e.crashes = 0, e.requeues = e.requeues + 1,
    e.settled_by = null, e.reason = null, a.waiting_until = ${now}`
  return changeDead(session, names, ids, change, options)
}

/** `DeadLetters.discard`. An aggregate that waits for something else goes on waiting. */
export function discardDead(
  session: Session,
  names: Names,
  ids: readonly string[],
  options?: CallOptions,
): Promise<number> {
  const change = `e.state = 'discarded', e.settled_at = ${now},
    a.waiting_until = if(given.blocks = 1, ${now}, a.waiting_until)`
  return changeDead(session, names, ids, change, options)
}

/** How often dead entries that somebody else changes at the same time are looked at anew. */
const attempts = 10

async function changeDead(
  session: Session,
  names: Names,
  ids: readonly string[],
  change: string,
  options: CallOptions | undefined,
): Promise<number> {
  let changed = 0
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const dead = await deadAmong(session, names, ids.filter(isUuid), options)
    if (dead.length === 0) return changed
    let isComplete = true
    for (const step of steps(dead)) {
      const { affectedRows } = await session.write(changeStatement(names, step, change), options)
      if (affectedRows > 0) changed += step.length
      else isComplete = false
    }
    if (isComplete) return changed
  }
  throw new OutboxError('busy', 'Others keep changing the same dead letters: try again.', { system: 'mysql' })
}

interface Dead {
  readonly id: string
  readonly aggregate: string
  readonly blocks: boolean
}

async function deadAmong(
  session: Session,
  names: Names,
  ids: readonly string[],
  options: CallOptions | undefined,
): Promise<readonly Dead[]> {
  const rows: Row[] = []
  for (const part of inParts([...new Set(ids.map(uuidLiteral))])) {
    const found = await session.read(
      `select hex(e.id) as id, e.aggregate_type, e.aggregate_id, e.blocks
      from ${names.entries} e ${by(names, 'entries_id')}
      where e.id in (${part.join(', ')}) and e.state = 'dead'
      order by e.position`,
      options,
    )
    rows.push(...found)
  }
  return rows.map((row) => ({
    id: uuidIn(row, 'id'),
    aggregate: aggregateKey(nameIn(row)),
    blocks: booleanIn(row, 'blocks'),
  }))
}

/** Of each aggregate at most one that blocks it, because a statement changes a row once: nearly always one step. */
function steps(dead: readonly Dead[]): readonly (readonly Dead[])[] {
  const blockers = new Map<string, number>()
  const found: Dead[][] = []
  // an entry that does not block has a step without one that does in its aggregate: the row is changed for that
  for (const one of dead) {
    const step = one.blocks ? 1 + (blockers.get(one.aggregate) ?? 0) : 0
    if (one.blocks) blockers.set(one.aggregate, step)
    const entriesOfStep = found[step] ?? []
    entriesOfStep.push(one)
    found[step] = entriesOfStep
  }
  return found.filter((step) => step !== undefined).flatMap(inParts)
}

/** Changes all of them if all are still as they were read, and nothing otherwise: so it is known how many. */
function changeStatement(names: Names, dead: readonly Dead[], change: string): string {
  const { entries, aggregates } = names
  const same = (blocks: boolean): readonly Dead[] => dead.filter((one) => one.blocks === blocks)
  const conditions = [true, false].flatMap((blocks) => {
    const ids = same(blocks).map(({ id }) => uuidLiteral(id))
    return ids.length === 0 ? [] : [`(id in (${ids.join(', ')}) and blocks = ${Number(blocks)})`]
  })
  const rows = dead.map(({ id, blocks }) => [uuidDigits(id), blocks] as const)
  return `update (
  select count(*) as matching from ${entries} ${by(names, 'entries_id')}
  where id in (${dead.map(({ id }) => uuidLiteral(id)).join(', ')}) and state = 'dead' and (${conditions.join(' or ')})
  for update
) fence
straight_join ${givenTable('given', { of_id: 'hex', blocks: 'integer' }, rows)}
straight_join ${entries} e ${by(names, 'entries_id')} on e.id = unhex(given.of_id)
left join ${aggregates} a ${byKey} on a.aggregate_type = e.aggregate_type and a.aggregate_id = e.aggregate_id
set ${change}, e.blocks = 0, a.blockers = if(a.blockers > given.blocks, a.blockers - given.blocks, 0)
where fence.matching = ${dead.length}`
}
