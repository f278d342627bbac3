import type { DueEntry, FetchRequest } from '@outbox/core'
import { isEnough } from '../../shared/rounds.ts'
import { deeperFront, frontOf } from '../bounds.ts'
import { byPartition, fetchStatement, lentIn } from '../fetch.ts'
import { checkOutside } from '../inside.ts'
import type { Names } from '../names.ts'
import { clearedIn } from '../rounds.ts'
import { booleanIn, numberIn, type Row } from '../rows.ts'
import type { Session } from '../session.ts'
import { besideLog } from './beside.ts'
import { runUntilCurrent } from './current.ts'
import { pageStatement } from './page.ts'
import { smoothStatement } from './smooth.ts'
import { smallestFront } from './tables.ts'

/** What a process remembers of its last fetches; it decides how much is asked, never what is lent. */
export interface Mood {
  /** fetches for which the smooth statement is not tried */
  roughFor: number
  /** fetches for which nobody looks behind the aggregates that fill a front */
  crowdedFor: number
  /** partitions in which the log left no room for what stands aside and is due: that comes first */
  readonly owesSide: Set<number>
  /** entries that are read of each partition, by the first that is asked for: more where few have most of what is due */
  readonly fronts: Map<number, number>
}

/** After something out of the ordinary, more of it is likely. */
const roughFetches = 10
/** Bursts of a few aggregates are common; to look behind them dearly now and then keeps nobody waiting for long. */
const crowdedFetches = 10

/**
 * `LeasedSource.fetch`: a page of the log, and what stands aside, if anything does.
 *
 * The second statement runs only where the first saw something aside. What it lends stands first: it is below all that
 * the log still owes of the same aggregate.
 */
export async function fetch(
  session: Session,
  names: Names,
  request: FetchRequest,
  mood: Mood,
): Promise<readonly DueEntry[]> {
  if (request.leases.length === 0 || request.limit < 1) return []
  const leases = byPartition(request.leases)
  const owesSide = request.leases.filter(({ partition }) => mood.owesSide.delete(partition)).length > 0
  if (owesSide) {
    const side = await session.run(fetchStatement(names, request, besideLog(names, false)), request)
    checkOutside(side)
    const aside = side.flatMap((row) => lentIn(row, leases))
    if (aside.length > 0) return aside
  }
  if (mood.roughFor > 0) mood.roughFor -= 1
  else {
    const watchesCrowds = mood.crowdedFor === 0
    mood.crowdedFor = Math.max(0, mood.crowdedFor - 1)
    let rows: readonly Row[]
    do {
      const front = frontFor(request, mood)
      const smooth = (attempt: number) => smoothStatement(names, request, { watchesCrowds, front }, attempt)
      rows = await runUntilCurrent(session, smooth, request)
      checkOutside(rows)
      if (!rows[0]) return []
      adaptFront(request, mood, rows[0])
    } while (booleanIn(rows[0], 'is_only_poor'))
    if (!booleanIn(rows[0], 'is_rough')) return rows.flatMap((row) => lentIn(row, leases))
    if (booleanIn(rows[0], 'is_only_crowded')) mood.crowdedFor = crowdedFetches
    else mood.roughFor = roughFetches
  }
  const page = (attempt: number) => pageStatement(names, request, attempt)
  const began = performance.now()
  for (let round = 1; ; round++) {
    const rows = await runUntilCurrent(session, page, request)
    checkOutside(rows)
    const ofLog = rows.flatMap((row) => lentIn(row, leases))
    const [first] = rows
    const moved = first ? numberIn(first, 'moved') : 0
    const hasPassed = first !== undefined && booleanIn(first, 'has_passed')
    const isSomethingAside = moved > 0 || (first !== undefined && booleanIn(first, 'is_side_due'))
    if (!isSomethingAside) {
      if (isEnough({ round, began, lent: ofLog.length, parked: 0, hasCleared: hasPassed })) return ofLog
      continue
    }
    const rest = whatIsLeft(request, ofLog)
    const side = rest ? await session.run(fetchStatement(names, rest, besideLog(names, ofLog.length > 0)), request) : []
    checkOutside(side)
    const aside = side.flatMap((row) => lentIn(row, leases))
    const isLeftOut = aside.length === 0 && ofLog.length > 0 && first !== undefined && booleanIn(first, 'is_side_due')
    for (const { partition } of request.leases) {
      if (isLeftOut) mood.owesSide.add(partition)
      else mood.owesSide.delete(partition)
    }
    const due = [...aside, ...ofLog]
    const cleared = clearedIn(side)
    const parked = moved + cleared.parked
    const hasCleared = moved > 0 || cleared.hasCleared || hasPassed
    if (isEnough({ round, began, lent: due.length, parked, hasCleared })) return due
  }
}

/** What is remembered may be of a larger batch: nobody reads deeper than a single partition would need for this one. */
function frontFor(request: FetchRequest, { fronts }: Mood): number {
  const [first] = request.leases
  const remembered = (first && fronts.get(first.partition)) ?? 0
  const deepest = frontOf({ ...request, leases: request.leases.slice(0, 1) }, smallestFront)
  return Math.max(frontOf(request, smallestFront), Math.min(remembered, deepest))
}

/** Deeper where the batch was poor, so that it never is again by as much; less deep once all have plenty. */
function adaptFront(request: FetchRequest, mood: Mood, row: Row): void {
  const [met, cut] = [numberIn(row, 'met'), numberIn(row, 'cut')]
  const front = frontFor(request, mood)
  const { partition = -1 } = request.leases[0] ?? {}
  if (cut > 0 && 2 * met < request.limit) mood.fronts.set(partition, deeperFront(request, front, met, cut))
  else if (met > 2 * request.limit) mood.fronts.set(partition, Math.floor(front / 2))
}

function whatIsLeft(request: FetchRequest, lent: readonly DueEntry[]): FetchRequest | undefined {
  const bytes = lent.reduce((sum, entry) => sum + Buffer.byteLength(entry.payload), 0)
  const rest = { limit: request.limit - lent.length, maxBytes: request.maxBytes - bytes }
  return rest.limit < 1 || (lent.length > 0 && rest.maxBytes < 1) ? undefined : { ...request, ...rest }
}
