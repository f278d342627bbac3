import type { FetchRequest } from '@outbox/core'
import { now } from './content.ts'
import { type Found, foundColumns, foundIn, numberedBy } from './found.ts'
import { by, byKey, forEachPartition } from './indexes.ts'
import { numberList } from './literals.ts'
import type { Names } from './names.ts'
import { booleanOrNullIn, type Row, textIn } from './rows.ts'
import type { Session } from './session.ts'

/** The front of a partition's range. */
export interface Window {
  readonly partition: number
  readonly depth: number
}

/** An entry in a window. */
export interface Seen extends Found {
  /** of its aggregate: nothing stands for it; or a row does, and it is due, or it waits or is blocked */
  readonly row: 'none' | 'due' | 'waiting'
  /** all that is pending before it in its aggregate stands in the window too */
  readonly isInOrder: boolean
}

/**
 * Windows that one statement, and so one snapshot, shows.
 *
 * An aggregate that the store numbers is written in the order of its numbers. So whatever is before an entry there has
 * a lower position, and stands in the same window, unless it is suspect; what is parked has a row. Where callers
 * number, or something is suspect, that has to be looked at.
 *
 * Plan: for each partition one range of the index of the scan, then each entry by its key.
 */
export async function windows(
  session: Session,
  names: Names,
  request: FetchRequest,
  at: readonly Window[],
): Promise<readonly Seen[]> {
  const { entries, aggregates } = names
  const pending = (place: string, partitions: string): string =>
    `from ${entries} ${place} ${by(names, 'entries_scan')} where \`partition\` ${partitions} and state = 'pending' and place = '${place}'`
  const depths = new Map(at.map(({ partition, depth }) => [partition, depth]))
  const partitions = [...depths.keys()]
  const atMost = at.reduce((sum, { depth }) => sum + depth, 0)
  const front = forEachPartition(
    partitions,
    (partition) =>
      `select position ${pending('scanned', `= ${partition}`)} order by position limit ${depths.get(partition)}`,
  )
  const rows = await session.read(
    `select ${foundColumns(request, atMost)},
    ${rowOf('a')} as represented,
    numbered.value = 'store' and (select suspect.crashes ${pending('suspect', `in ${numberList(partitions)}`)} limit 1) is null
      as is_in_order
    from (${front}) front
    straight_join ${entries} e ${byKey} on e.position = front.position
    left join ${aggregates} a ${byKey} on a.aggregate_type = e.aggregate_type and a.aggregate_id = e.aggregate_id
    ${numberedBy(names)}`,
    request,
  )
  return rows.map(seenIn).sort((a, b) => a.partition - b.partition || a.position - b.position)
}

function seenIn(row: Row): Seen {
  return { ...foundIn(row), row: rowIn(row), isInOrder: booleanOrNullIn(row, 'is_in_order') ?? false }
}

/** SQL for what the row of an aggregate says, from the table named `alias` in an outer join. */
export function rowOf(alias: string): string {
  return `case when ${alias}.aggregate_type is null then 'none'
    when ${alias}.blockers = 0 and ${alias}.waiting_until <= ${now} then 'due' else 'waiting' end`
}

/** What `rowOf` gave, as `represented`. */
export function rowIn(row: Row): Seen['row'] {
  const represented = textIn(row, 'represented')
  return represented === 'none' || represented === 'due' ? represented : 'waiting'
}
