import type { DueEntry, FetchRequest, Lease } from '@outbox/core'
import { lentColumns, lentContent, now } from './content.ts'
import { standingCondition } from './fence.ts'
import { by, byKey, inOrder } from './indexes.ts'
import { givenTable, numberList } from './literals.ts'
import type { Names } from './names.ts'
import type { Place } from './prefixes.ts'
import { booleanOrNullIn, numberIn, type Row, textIn } from './rows.ts'
import type { Session } from './session.ts'

/**
 * Notes entries under their leases, then reads those that still are due.
 *
 * @param leases - those that stood a moment ago; the notes of all of them are replaced
 * @param noted - those among them that have notes
 */
export async function lend(
  session: Session,
  names: Names,
  request: FetchRequest,
  leases: readonly Lease[],
  noted: readonly Lease[],
  places: readonly Place[],
): Promise<readonly DueEntry[]> {
  const filled = new Set(places.map(({ partition }) => partition))
  const toNote = leases.filter((lease) => filled.has(lease.partition) || noted.includes(lease))
  if (toNote.length > 0) await session.write(noteStatement(names, toNote, places), request)
  if (places.length === 0) return []
  const rows = await session.read(contentStatement(names, leases, places), request)
  return dueEntries(rows, new Map(leases.map((lease) => [lease.partition, lease])))
}

/** One row of the leases each, found by its key, and changed only if the lease stands. */
function noteStatement(names: Names, leases: readonly Lease[], places: readonly Place[]): string {
  const notes = leases.map(({ partition }) => {
    const positions = places.filter((place) => place.partition === partition).map(({ position }) => position)
    return `when ${partition} then '[${positions.join(', ')}]'`
  })
  return `update ${names.leases} ${byKey} set in_flight = case \`partition\` ${notes.join(' ')} else in_flight end
where \`partition\` in ${numberList(leases.map(({ partition }) => partition))} and ${standingCondition(leases)}`
}

/** Whoever reads here that a lease stands knows that it stood when the entries were noted: no lease comes back. */
function contentStatement(names: Names, leases: readonly Lease[], places: readonly Place[]): string {
  const { entries, aggregates, meta } = names
  return `select ${lentColumns('e')}, (select value from ${meta} where \`key\` = 'source') as source,
  -- Only where callers number: a sequence above can have been published only because this one was committed after it.
  -- A requeued entry was there in time: it died, and others were let past.
  numbered.value = 'caller' and e.requeues = 0 and e.sequence < coalesce((
    select done.sequence from ${entries} done ${by(names, 'entries_order')}
    where done.aggregate_type = e.aggregate_type and done.aggregate_id = e.aggregate_id and done.state = 'published'
    ${inOrder('done', ' desc')}), 0) as is_late
from ${givenTable(
    'lent',
    { of_position: 'integer' },
    places.map(({ position }) => [position]),
  )}
straight_join ${entries} e ${byKey} on e.position = lent.of_position
straight_join ${names.leases} l ${byKey} on l.\`partition\` = e.\`partition\`
left join ${aggregates} a ${byKey} on a.aggregate_type = e.aggregate_type and a.aggregate_id = e.aggregate_id
left join ${meta} numbered ${byKey} on numbered.\`key\` = concat('sequence-source:', e.aggregate_type)
where e.state = 'pending' and ${standingCondition(leases, 'l')}
  and (a.aggregate_type is null or (a.blockers = 0 and a.waiting_until <= ${now}))
order by lent.nth`
}

function dueEntries(rows: readonly Row[], leases: ReadonlyMap<number, Lease>): readonly DueEntry[] {
  return rows.flatMap((row) => {
    const lease = leases.get(numberIn(row, 'partition'))
    const isLate = booleanOrNullIn(row, 'is_late') ?? false
    return lease ? [{ ...lentContent(row), lease, source: textIn(row, 'source'), isLate }] : []
  })
}
