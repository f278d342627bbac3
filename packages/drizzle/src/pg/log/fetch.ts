import type { DueEntry, FetchRequest } from '@outbox/core'
import { isEnough } from '../../shared/rounds.ts'
import { deeperFront, frontOf } from '../bounds.ts'
import { byPartition, fetchStatement, type LeasesByPartition, lentIn } from '../fetch.ts'
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
export interface FetchMemory {
  /** fetches for which the smooth statement is not tried */
  withoutSmoothFor: number
  /** fetches for which nobody looks behind the aggregates that fill a front */
  ignoresCrowdsFor: number
  /** partitions in which the log left no room for what stands aside and is due: that comes first */
  readonly sideFirst: Set<number>
  /** entries that are read of each partition, by the first that is asked for: more where few have most of what is due */
  readonly fronts: Map<number, number>
}

/** After something out of the ordinary, more of it is likely. */
const roughFetches = 10
/** Bursts of a few aggregates are common; to look behind them dearly now and then keeps nobody waiting for long. */
const crowdedFetches = 10

interface Call {
  readonly session: Session
  readonly names: Names
  readonly request: FetchRequest
  readonly leases: LeasesByPartition
  readonly memory: FetchMemory
}

/**
 * `LeasedSource.fetch`: a page of the log, and what stands aside, if anything does.
 *
 * As a rule the smooth statement has all of it. What is out of the ordinary takes the statement for a page, and a second
 * one for what stands aside.
 */
export async function fetch(
  session: Session,
  names: Names,
  request: FetchRequest,
  memory: FetchMemory,
): Promise<readonly DueEntry[]> {
  if (request.leases.length === 0 || request.limit < 1) return []
  const call: Call = { session, names, request, leases: byPartition(request.leases), memory }
  return (await lendSideFirst(call)) ?? (await lendSmoothly(call)) ?? lendPage(call)
}

/** What stands aside, where the log left no room for it the last time; undefined if that is nothing. */
async function lendSideFirst(call: Call): Promise<readonly DueEntry[] | undefined> {
  const { request, leases, memory } = call
  const isOwed = request.leases.filter(({ partition }) => memory.sideFirst.delete(partition)).length > 0
  if (!isOwed) return undefined
  const aside = (await readSide(call, request, false)).flatMap((row) => lentIn(row, leases))
  return aside.length > 0 ? aside : undefined
}

/** Undefined where something is out of the ordinary. */
async function lendSmoothly({
  session,
  names,
  request,
  leases,
  memory,
}: Call): Promise<readonly DueEntry[] | undefined> {
  if (memory.withoutSmoothFor > 0) {
    memory.withoutSmoothFor -= 1
    return undefined
  }
  const watchesCrowds = memory.ignoresCrowdsFor === 0
  memory.ignoresCrowdsFor = Math.max(0, memory.ignoresCrowdsFor - 1)
  let rows: readonly Row[]
  do {
    const front = frontFor(request, memory)
    const smooth = (attempt: number) => smoothStatement(names, request, { watchesCrowds, front }, attempt)
    rows = await runUntilCurrent(session, smooth, request)
    checkOutside(rows)
    if (!rows[0]) return []
    adaptFront(request, memory, rows[0])
  } while (booleanIn(rows[0], 'is_only_poor'))
  if (!booleanIn(rows[0], 'is_rough')) return rows.flatMap((row) => lentIn(row, leases))
  if (booleanIn(rows[0], 'is_only_crowded')) memory.ignoresCrowdsFor = crowdedFetches
  else memory.withoutSmoothFor = roughFetches
  return undefined
}

/**
 * The second statement runs only where the first saw something aside. What it lends stands first: it is below all that
 * the log still owes of the same aggregate.
 */
async function lendPage(call: Call): Promise<readonly DueEntry[]> {
  const { session, names, request, leases, memory } = call
  const page = (attempt: number) => pageStatement(names, request, attempt)
  const began = performance.now()
  for (let round = 1; ; round++) {
    const rows = await runUntilCurrent(session, page, request)
    checkOutside(rows)
    const ofLog = rows.flatMap((row) => lentIn(row, leases))
    const [first] = rows
    const moved = first ? numberIn(first, 'moved') : 0
    const hasPassed = first !== undefined && booleanIn(first, 'has_passed')
    const isSideDue = first !== undefined && booleanIn(first, 'is_side_due')
    if (moved === 0 && !isSideDue) {
      if (isEnough({ round, began, lent: ofLog.length, parked: 0, hasCleared: hasPassed })) return ofLog
      continue
    }
    const rest = whatIsLeft(request, ofLog)
    const side = rest ? await readSide(call, rest, ofLog.length > 0) : []
    const aside = side.flatMap((row) => lentIn(row, leases))
    const isLeftOut = aside.length === 0 && ofLog.length > 0 && isSideDue
    for (const { partition } of request.leases) {
      if (isLeftOut) memory.sideFirst.add(partition)
      else memory.sideFirst.delete(partition)
    }
    const due = [...aside, ...ofLog]
    const cleared = clearedIn(side)
    const parked = moved + cleared.parked
    const hasCleared = moved > 0 || cleared.hasCleared || hasPassed
    if (isEnough({ round, began, lent: due.length, parked, hasCleared })) return due
  }
}

/** @param hasCompany - the batch has entries of the log already */
async function readSide(
  { session, names, request }: Call,
  rest: FetchRequest,
  hasCompany: boolean,
): Promise<readonly Row[]> {
  const rows = await session.run(fetchStatement(names, rest, besideLog(names, hasCompany)), request)
  checkOutside(rows)
  return rows
}

/** What is remembered may be of a larger batch: nobody reads deeper than a single partition would need for this one. */
function frontFor(request: FetchRequest, { fronts }: FetchMemory): number {
  const [first] = request.leases
  const remembered = (first && fronts.get(first.partition)) ?? 0
  const deepest = frontOf({ ...request, leases: request.leases.slice(0, 1) }, smallestFront)
  return Math.max(frontOf(request, smallestFront), Math.min(remembered, deepest))
}

/** Deeper where the batch was poor, so that it never is again by as much; less deep once all have plenty. */
function adaptFront(request: FetchRequest, memory: FetchMemory, row: Row): void {
  const [met, cut] = [numberIn(row, 'met'), numberIn(row, 'cut')]
  const front = frontFor(request, memory)
  const { partition = -1 } = request.leases[0] ?? {}
  if (cut > 0 && 2 * met < request.limit) memory.fronts.set(partition, deeperFront(request, front, met, cut))
  else if (met > 2 * request.limit) memory.fronts.set(partition, Math.floor(front / 2))
}

function whatIsLeft(request: FetchRequest, lent: readonly DueEntry[]): FetchRequest | undefined {
  const bytes = lent.reduce((sum, entry) => sum + Buffer.byteLength(entry.payload), 0)
  const rest = { limit: request.limit - lent.length, maxBytes: request.maxBytes - bytes }
  return rest.limit < 1 || (lent.length > 0 && rest.maxBytes < 1) ? undefined : { ...request, ...rest }
}
