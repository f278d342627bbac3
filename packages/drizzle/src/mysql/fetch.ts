import type { DueEntry, FetchRequest, Lease } from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'
import { cut } from '../shared/cut.ts'
import { type Cleared, isEnough } from '../shared/rounds.ts'
import { endsAsker } from './ends.ts'
import { lend } from './lend.ts'
import { whole } from './literals.ts'
import type { Names } from './names.ts'
import { dropEmptied, park } from './park.ts'
import { prefixes } from './prefixes.ts'
import { candidatesFrom, oldestSuspect, returning, scan } from './scan.ts'
import type { Session } from './session.ts'
import { type Standing, standingLeases } from './standing.ts'
import { walk } from './walk.ts'

/**
 * `LeasedSource.fetch`: reads, then a note. No statement holds a lock once it has ended.
 *
 * Of each aggregate that comes into the batch, the beginning of its pending entries by sequence is read in one
 * statement, so it has everything that was committed when that began. Of most, the scan has read it already; where an
 * aggregate's row stands for its entries, or others may stand between those in sight, it is walked through. What stands
 * under a lease that was lost by the time of the note is left out.
 */
export async function fetch(session: Session, names: Names, given: FetchRequest): Promise<readonly DueEntry[]> {
  const request = { ...given, limit: whole(given.limit), limitPerAggregate: whole(given.limitPerAggregate) }
  if (request.leases.length === 0 || request.limit === 0 || request.limitPerAggregate === 0) return []
  const began = performance.now()
  for (let round = 1; ; round++) {
    const { entries, ...cleared } = await fetchOnce(session, names, request)
    if (isEnough({ round, began, lent: entries.length, ...cleared })) return entries
  }
}

interface Batch extends Cleared {
  readonly entries: readonly DueEntry[]
}

const nothing: Batch = { entries: [], parked: 0, hasCleared: false }

async function fetchOnce(session: Session, names: Names, request: FetchRequest): Promise<Batch> {
  const standing = await standingLeases(session, names, request, request.leases)
  if (standing.length === 0) return nothing

  const askEnds = endsAsker(session, names, request)
  const suspect = await oldestSuspect(session, names, request, leasesOf(standing.filter((one) => one.hasSuspects)))
  if (suspect) {
    const alone = { ...request, limit: 1 }
    const found = cut(await walk(session, names, alone, [suspect]), alone)
    return { ...nothing, entries: await lend(session, names, request, standing, found, askEnds) }
  }
  const represented = await returning(session, names, request, leasesOf(standing.filter((one) => one.hasReturning)))
  const scanned = await scan(session, names, request, leasesOf(standing))
  const parked = await park(session, names, request, scanned)
  const emptied = await dropEmptied(session, names, request, represented)
  const candidates = candidatesFrom(scanned.met, represented, request.limit)
  const found = await prefixes(session, names, request, candidates, scanned.seen, askEnds)
  // a suspect that became due since it was looked for is lent alone, next time
  const unsuspected = found.map((prefix) => (prefix[0] && prefix[0].crashes >= suspectAt ? [] : prefix))
  const entries = await lend(session, names, request, standing, cut(unsuspected, request), askEnds)
  return { entries, parked, hasCleared: parked + emptied > 0 }
}

function leasesOf(standing: readonly Standing[]): readonly Lease[] {
  return standing.map(({ lease }) => lease)
}
