import type { DueEntry, FetchRequest, Lease } from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'
import { cut } from '../shared/cut.ts'
import { distinctLeases, leaseKey, standingCondition } from './fence.ts'
import { lend } from './lend.ts'
import { whole } from './literals.ts'
import type { Names } from './names.ts'
import { dropEmptied, park } from './park.ts'
import { prefixes } from './prefixes.ts'
import { booleanIn, numberIn, textIn } from './rows.ts'
import { candidatesFrom, oldestSuspect, returning, scan } from './scan.ts'
import type { Session } from './session.ts'

/** so many parked entries at once that others may still be hidden behind what waits */
const manyParked = 500
const roundsWithEntries = 4

/**
 * `LeasedSource.fetch`: reads, a note, and a last read. No statement holds a lock once it has ended.
 *
 * The scan only finds the aggregates that come into the batch. Of each, the beginning of its pending entries by
 * sequence is read in one statement, so it has everything that was committed when that began. The entries are noted
 * under their leases, and only then read: what was settled meanwhile, or whose aggregate has to wait by now, is left
 * out, and so is what stands under a lease that was lost.
 */
export async function fetch(session: Session, names: Names, given: FetchRequest): Promise<readonly DueEntry[]> {
  const request = { ...given, limit: whole(given.limit), limitPerAggregate: whole(given.limitPerAggregate) }
  if (request.leases.length === 0 || request.limit === 0 || request.limitPerAggregate === 0) return []
  for (let round = 1; ; round++) {
    const { entries, parked } = await fetchOnce(session, names, request)
    // Entries that wait can hide others behind them: once they are parked, look again. Every round parks some for
    // good, so this ends; what a former round lent is in the next one too, as nothing was published meanwhile.
    const isEnough = entries.length === 0 ? parked === 0 : parked < manyParked || round >= roundsWithEntries
    if (isEnough) return entries
  }
}

interface Batch {
  readonly entries: readonly DueEntry[]
  /** entries of waiting aggregates that the scan had to walk through, and will not again */
  readonly parked: number
}

const nothing: Batch = { entries: [], parked: 0 }

async function fetchOnce(session: Session, names: Names, request: FetchRequest): Promise<Batch> {
  const standing = await standingLeases(session, names, request)
  const leases = standing.map(({ lease }) => lease)
  if (leases.length === 0) return nothing
  const notes = standing.filter(({ hasNotes }) => hasNotes).map(({ lease }) => lease)

  const suspect = await oldestSuspect(session, names, request, leases)
  if (suspect) {
    const alone = await prefixes(session, names, { ...request, limit: 1 }, [suspect])
    return {
      entries: await lend(session, names, request, leases, notes, cut(alone, { ...request, limit: 1 })),
      parked: 0,
    }
  }
  const represented = await returning(session, names, request, leases)
  const met = await scan(session, names, request, leases)
  const parked = await park(session, names, request, met)
  await dropEmptied(session, names, request, represented)
  const candidates = candidatesFrom(met, represented, request.limit)
  const found = await prefixes(session, names, request, candidates)
  // a suspect that became due since it was looked for is lent alone, next time
  const unsuspected = found.map((prefix) => (prefix[0] && prefix[0].crashes >= suspectAt ? [] : prefix))
  return { entries: await lend(session, names, request, leases, notes, cut(unsuspected, request)), parked }
}

interface Standing {
  readonly lease: Lease
  /** something is noted in flight under it */
  readonly hasNotes: boolean
}

async function standingLeases(session: Session, names: Names, request: FetchRequest): Promise<readonly Standing[]> {
  const given = distinctLeases(request.leases)
  const rows = await session.read(
    `select \`partition\`, epoch, holder, in_flight <> '[]' as has_notes from ${names.leases} where ${standingCondition(given)}`,
    request,
  )
  const found = new Map(
    rows.map((row) => [
      leaseKey({ partition: numberIn(row, 'partition'), epoch: numberIn(row, 'epoch'), holder: textIn(row, 'holder') }),
      booleanIn(row, 'has_notes'),
    ]),
  )
  return given.flatMap((lease) => {
    const hasNotes = found.get(leaseKey(lease))
    return hasNotes === undefined ? [] : [{ lease, hasNotes }]
  })
}
