import type { FetchRequest, Lease } from '@outbox/core'
import { now } from './content.ts'
import { distinctLeases, leaseKey, standingCondition } from './fence.ts'
import { by } from './indexes.ts'
import type { Names } from './names.ts'
import { notesOf } from './notes.ts'
import { booleanIn, numberIn, textIn } from './rows.ts'
import type { Session } from './session.ts'

/** A lease that stood a moment ago, and what there is under it besides entries that the scan finds. */
export interface Standing {
  readonly lease: Lease
  /** the name of the outbox */
  readonly source: string
  /** how often something was settled under it */
  readonly settles: number
  /** something is noted in flight */
  readonly hasNotes: boolean
  /** entries that a relay may have died of */
  readonly hasSuspects: boolean
  /** rows of aggregates whose time has come */
  readonly hasReturning: boolean
}

/**
 * Plan: the leases by their keys, and for each a look at the fronts of two ranges, nearly always empty.
 *
 * What is selected there stands in no index. Where an index has all that is asked for, MySQL reads it from end to end
 * if it was counted when it was empty, however large it is by then and whatever it is forced to.
 */
export async function standingLeases(
  session: Session,
  names: Names,
  request: FetchRequest,
  leases: readonly Lease[],
): Promise<readonly Standing[]> {
  const { entries, aggregates, meta } = names
  const given = distinctLeases(leases)
  const rows = await session.read(
    `select l.\`partition\`, l.epoch, l.holder, l.settles, ${notesOf('l')} <> '[]' as has_notes,
      (select value from ${meta} where \`key\` = 'source') as source,
      (select e.crashes from ${entries} e ${by(names, 'entries_scan')}
        where e.\`partition\` = l.\`partition\` and e.state = 'pending' and e.place = 'suspect'
        limit 1) is not null as has_suspects,
      (select a.parkings from ${aggregates} a ${by(names, 'aggregates_due')}
        where a.\`partition\` = l.\`partition\` and a.blockers = 0 and a.waiting_until <= ${now}
        limit 1) is not null as has_returning
    from ${names.leases} l where ${standingCondition(given, 'l')}`,
    request,
  )
  const found = new Map(
    rows.map((row) => [
      leaseKey({ partition: numberIn(row, 'partition'), epoch: numberIn(row, 'epoch'), holder: textIn(row, 'holder') }),
      {
        source: textIn(row, 'source'),
        settles: numberIn(row, 'settles'),
        hasNotes: booleanIn(row, 'has_notes'),
        hasSuspects: booleanIn(row, 'has_suspects'),
        hasReturning: booleanIn(row, 'has_returning'),
      },
    ]),
  )
  return given.flatMap((lease) => {
    const standing = found.get(leaseKey(lease))
    return standing ? [{ lease, ...standing }] : []
  })
}
