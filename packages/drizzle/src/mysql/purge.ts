import type { LeasedSource } from '@outbox/core'
import { inBatches } from '../shared/batches.ts'
import { now } from './content.ts'
import { nameIn } from './found.ts'
import { by, byKey } from './indexes.ts'
import { givenTable, hexOf, textLiteral, whole } from './literals.ts'
import type { Names } from './names.ts'
import { numberIn, type Row, textIn } from './rows.ts'
import type { Session } from './session.ts'

type Request = Parameters<LeasedSource['purge']>[0]

/** Longer than anything is kept, shorter than what a time can hold. */
const longestAgeMs = 1e13

/** SQL for a time before all others. */
const never = `'1000-01-01'`

const keyColumns = { of_type: 'hex', of_id: 'hex', of_sequence: 'integer', of_position: 'integer' } as const

/**
 * SQL for the longest time ago that is purged. Written as a time, so that a query by it is a range of an index.
 */
function before(olderThanMs: number): string {
  const ms = Math.ceil(Math.min(Math.max(0, olderThanMs), longestAgeMs))
  return `${now} - interval ${ms} * 1000 microsecond`
}

/**
 * SQL for what stands behind a row in an index. Written out, because of `(a, b) > (x, y)` MySQL makes no range.
 *
 * @param row - the index's columns, with the row's values as SQL writes them
 */
function behind([first, ...others]: readonly (readonly [column: string, literal: string])[]): string {
  if (!first) return 'false'
  const [column, literal] = first
  return `(${column} > ${literal} or (${column} = ${literal} and ${behind(others)}))`
}

/**
 * `LeasedSource.purge`: small batches, oldest first. A batch is looked for without a lock, and deleted by its keys; rows
 * that somebody else has locked are left for the next time: nobody waits. They are found by (aggregate, sequence), because
 * that is the index in which an enqueue that met a known id holds its lock. What is locked has a limit even where that is never met: without one, MySQL
 * would put the two reads together, and wait.
 *
 * Each batch begins behind the row where the one before it ended. What that left is locked, and what it deleted may have
 * to stay in the index for as long as some old transaction could still see it: both would be walked through again and
 * again.
 */
export async function purge(session: Session, names: Names, request: Request): Promise<number> {
  const { entries } = names
  let rest = behind([['settled_at', never]])
  return inBatches(whole(request.limit), async ({ look, limit }) => {
    const settled = (state: string): string => `(
      select position, aggregate_type, aggregate_id, sequence, settled_at
      from ${entries} ${by(names, 'entries_settled')}
      where state = '${state}' and ${rest} and settled_at <= ${before(request.olderThanMs)}
      order by settled_at, position limit ${look})`
    const found = await session.read(
      `select position, aggregate_type, aggregate_id, sequence, cast(settled_at as char) as settled_at
      from (${settled('published')} union all ${settled('discarded')}) settled
      order by settled.settled_at, position limit ${look}`,
      request,
    )
    const last = found.at(-1)
    if (!last) return { found: 0, deleted: 0 }
    rest = behind([
      ['settled_at', textLiteral(textIn(last, 'settled_at'))],
      ['position', `${numberIn(last, 'position')}`],
    ])
    const keys = found.map((row) => {
      const { aggregateType, aggregateId } = nameIn(row)
      return [hexOf(aggregateType), hexOf(aggregateId), numberIn(row, 'sequence'), numberIn(row, 'position')] as const
    })
    const { affectedRows } = await session.write(
      `delete e from (
        select e.position from (select given.* from ${givenTable('given', keyColumns, keys)}) found
        straight_join ${entries} e ${by(names, 'entries_sequence')} on e.aggregate_type = unhex(found.of_type)
          and e.aggregate_id = unhex(found.of_id) and e.sequence = found.of_sequence
        where e.position = found.of_position and e.state in ('published', 'discarded')
        limit ${limit} for update skip locked
      ) settled straight_join ${entries} e ${byKey} on e.position = settled.position`,
      request,
    )
    return { found: found.length, deleted: affectedRows }
  })
}

/**
 * `InboxStore.purge`, likewise. The age is asked again under the lock: somebody else may have purged a mark meanwhile,
 * and its message may have been handled anew.
 */
export async function purgeInbox(session: Session, names: Names, request: Request): Promise<number> {
  const { inbox } = names
  let rest = behind([['handled_at', never]])
  return inBatches(whole(request.limit), async ({ look, limit }) => {
    const found = await session.read(
      `select consumer, message_id, cast(handled_at as char) as at from ${inbox} ${by(names, 'inbox_handled')}
      where ${rest} and handled_at <= ${before(request.olderThanMs)}
      order by handled_at, consumer, message_id limit ${look}`,
      request,
    )
    const last = found.at(-1)
    if (!last) return { found: 0, deleted: 0 }
    const literal = (row: Row, column: string): string => textLiteral(textIn(row, column))
    rest = behind([
      ['handled_at', literal(last, 'at')],
      ['consumer', literal(last, 'consumer')],
      ['message_id', literal(last, 'message_id')],
    ])
    const keys = found.map((row) => `(${literal(row, 'consumer')}, ${literal(row, 'message_id')})`)
    const { affectedRows } = await session.write(
      `delete i from (
        select consumer, message_id from ${inbox} ${byKey}
        where (consumer, message_id) in (${keys.join(', ')}) and handled_at <= ${before(request.olderThanMs)}
        limit ${limit} for update skip locked
      ) handled straight_join ${inbox} i ${byKey} on i.consumer = handled.consumer and i.message_id = handled.message_id`,
      request,
    )
    return { found: found.length, deleted: affectedRows }
  })
}
