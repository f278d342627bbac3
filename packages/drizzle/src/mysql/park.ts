import type { FetchRequest } from '@outbox/core'
import { aggregateKey, groupByAggregate } from '@outbox/core/adapter'
import { now } from './content.ts'
import type { AggregateName } from './found.ts'
import { byKey } from './indexes.ts'
import { type GivenType, givenTable, hexOf } from './literals.ts'
import type { Names } from './names.ts'
import type { Met, Returning, Scanned } from './scan.ts'
import type { Session } from './session.ts'

/**
 * Parking: the row of an aggregate takes the place of its entries in the scan. Entries are parked only in a statement
 * that finds their aggregate's row, locks it and raises its count of parkings; the row is deleted only if that count
 * still is what its deleter read. So no entry is ever parked without a row that stands for it, whoever does what at
 * the same time, and none of this has to be fenced: it changes nothing that anybody sees.
 */

const parking = Object.freeze({
  /** more entries of one aggregate than that in a crowded range are parked, though it is due */
  hotAbove: 500,
  atOnce: 2000,
})

/** @returns how many entries of aggregates that wait were parked, which may have hidden others */
export async function park(session: Session, names: Names, request: FetchRequest, scanned: Scanned): Promise<number> {
  const { met, crowded } = scanned
  const hot = hotAmong(scanned)
  await makeRows(session, names, request, hot)
  const waiting = met.filter(({ row }) => row === 'waiting').slice(0, parking.atOnce)
  const hotKeys = new Set(hot.map(aggregateKey))
  // those that are due cost a publisher's time: no more of them than are lent
  const due = met
    .filter((one) => hotKeys.has(aggregateKey(one)) || (one.row === 'due' && crowded.has(one.partition)))
    .slice(0, request.limit)
  await parkEntries(session, names, request, due)
  return (await parkEntries(session, names, request, waiting)) ? waiting.length : 0
}

function hotAmong({ met, crowded }: Scanned): readonly Met[] {
  const open = met.filter(({ row, partition }) => row === 'none' && crowded.has(partition))
  return groupByAggregate(open).flatMap((indexes) => {
    const first = open[indexes[0] ?? -1]
    return first && indexes.length > parking.hotAbove ? [first] : []
  })
}

async function makeRows(
  session: Session,
  { aggregates }: Names,
  request: FetchRequest,
  hot: readonly Met[],
): Promise<void> {
  if (hot.length === 0) return
  const given = givenTable(
    'hot',
    { of_type: 'hex', of_id: 'hex', of_partition: 'integer' },
    hot.map((one) => [...hexName(one), one.partition] as const).sort(byName),
  )
  await session.write(
    `insert into ${aggregates} (aggregate_type, aggregate_id, \`partition\`, waiting_until)
    select unhex(hot.of_type), unhex(hot.of_id), hot.of_partition, ${now} from ${given}
    on duplicate key update parkings = parkings + 1`,
    request,
  )
}

/**
 * The aggregates come last: MySQL forgets the tables behind one whose row it meets a second time, if that has a key as
 * long as theirs.
 *
 * @returns whether anything was parked
 */
async function parkEntries(
  session: Session,
  { entries, aggregates }: Names,
  request: FetchRequest,
  toPark: readonly Met[],
): Promise<boolean> {
  if (toPark.length === 0) return false
  const columns = { of_type: 'hex', of_id: 'hex', of_position: 'integer' } as const satisfies Record<string, GivenType>
  const rows = toPark.map((one) => [...hexName(one), one.position] as const).sort(byName)
  const { affectedRows } = await session.write(
    `update ${givenTable('parked', columns, rows)}
straight_join ${entries} e ${byKey} on e.position = parked.of_position and e.state = 'pending' and e.place = 'scanned'
straight_join ${aggregates} a ${byKey} on a.aggregate_type = unhex(parked.of_type) and a.aggregate_id = unhex(parked.of_id)
set e.place = 'parked', a.parkings = a.parkings + 1`,
    request,
  )
  return affectedRows > 0
}

/**
 * Deletes rows that stand for no parked entry any more: what is left of their aggregates stands in the scan.
 *
 * @returns how many it deleted
 */
export async function dropEmptied(
  session: Session,
  { aggregates }: Names,
  request: FetchRequest,
  represented: readonly Returning[],
): Promise<number> {
  const emptied = represented.filter(({ hasParked }) => !hasParked)
  if (emptied.length === 0) return 0
  const given = givenTable(
    'emptied',
    { of_type: 'hex', of_id: 'hex', parkings: 'integer', due_since: 'integer' },
    emptied.map((one) => [...hexName(one), one.parkings, one.dueSince] as const).sort(byName),
  )
  const { affectedRows } = await session.write(
    `delete a from ${given}
    straight_join ${aggregates} a ${byKey} on a.aggregate_type = unhex(emptied.of_type)
      and a.aggregate_id = unhex(emptied.of_id) and a.parkings = emptied.parkings
      and a.blockers = 0 and a.waiting_until <= ${now}
      -- a statement that was delayed may meet a row that was made anew since, and counts from 0 again
      and timestampdiff(microsecond, '1970-01-01', a.waiting_until) = emptied.due_since`,
    request,
  )
  return affectedRows
}

function hexName({ aggregateType, aggregateId }: AggregateName): readonly [string, string] {
  return [hexOf(aggregateType), hexOf(aggregateId)]
}

/** Locks are taken in one order everywhere. */
function byName(a: readonly (string | number)[], b: readonly (string | number)[]): number {
  return `${a[0]} ${a[1]}` < `${b[0]} ${b[1]}` ? -1 : 1
}
