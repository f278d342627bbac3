import type { FetchRequest, Lease } from '@outbox/core'
import { groupedBy, inTurns, type Standing } from '@outbox/core/adapter'
import { blockedAsideMs, busyAsideMs, type Move, setAside } from './aside.ts'
import type { Context } from './context.ts'
import { type Exceptions, exceptionsIn } from './exceptions.ts'
import { allInScan, distinctAggregates, fronts, holds, type Met } from './fronts.ts'
import { noteFull } from './full.ts'
import type { Document } from './values.ts'

/** An aggregate that has something due. It stands where the first of its entries was met. */
export interface Candidate extends Standing {
  readonly aggregate: Document
  readonly key: string
  /** of its entries that the scan met, ascending; at least one */
  readonly sequences: readonly number[]
  /** more of it may stand in the scan, behind what was met */
  readonly isDeep: boolean
  /** some of it may be aside, where the scan does not meet it */
  readonly isScattered: boolean
}

/** How far a scan looks. Measured in entries, which cost a few microseconds each. */
const looks = Object.freeze({
  smallestWindow: 16,
  largestWindow: 1_000,
  /** fewer aggregates than that in a full window mean that others may stand behind them */
  crowdedBelow: 4,
  /** partitions that are looked into much deeper in one round */
  crowdedPartitions: 2,
  deepWindow: 2_000,
  /** an aggregate with more entries than that in one round is set aside but for one entry, though it is due */
  busyAbove: 500,
  /** so many entries moved that others may have been hidden behind them */
  manyMoved: 500,
  rounds: 6,
})

const nothingHeld: ReadonlyMap<string, Date> = new Map()

/**
 * Finds aggregates that are due, in the order in which they come into the batch. What it meets of those that wait, are
 * blocked, or are very busy, it sets aside, and looks again.
 *
 * The order of entries decides only which aggregates come first, never what is lent of one.
 */
export async function findCandidates(
  context: Context,
  leases: readonly Lease[],
  { limit }: Pick<FetchRequest, 'limit'>,
  now: Date,
  first: Look,
): Promise<readonly Candidate[]> {
  let seen = first
  for (let round = 1; ; round++) {
    const { met, deep, hasHolds } = seen
    const held = hasHolds ? await holds(context.database, distinctAggregates(met), now) : nothingHeld
    const open = met.filter(({ key }) => !held.has(key))
    const byAggregate = groupedBy(open, ({ key }) => key)
    const moves = [...movesOfHeld(met, held, now), ...movesOfBusy(byAggregate, seen.isCutOff, now)]
    const moved = await setAside(context, leases, moves)
    const isEnough = open.length === 0 ? moved === 0 : moved < looks.manyMoved
    const scattered = new Set([...seen.scattered, ...moves.map(({ partition }) => partition)])
    if (isEnough || round >= looks.rounds) return candidatesFrom(byAggregate, deep, scattered)
    seen = await look(context, leases, limit, now)
  }
}

/** What a look into some partitions brought. */
export interface Look extends Exceptions {
  readonly met: readonly Met[]
  /** partitions of which there is more than was met */
  readonly deep: ReadonlySet<number>
}

export async function look(context: Context, leases: readonly Lease[], limit: number, now: Date): Promise<Look> {
  const partitions = leases.map(({ partition }) => partition)
  const [{ met, deep }, exceptions] = await Promise.all([
    inScanOf(context, partitions, limit),
    exceptionsIn(context, partitions, now, Math.max(looks.largestWindow, 2 * limit)),
  ])
  return { ...exceptions, met: [...met, ...exceptions.returned], deep }
}

/** All that stands in the scan, if that is little; otherwise the beginning of each partition. */
async function inScanOf(
  { database, names, full: lastFull }: Context,
  partitions: readonly number[],
  limit: number,
): Promise<Pick<Look, 'met' | 'deep'>> {
  const all = partitions.some((one) => lastFull.has(one)) ? undefined : await allInScan(database, partitions)
  if (all) return { met: all, deep: new Set() }
  const window = windowOf(limit, partitions.length)
  const front = await fronts(database, names.entries, partitions, window)
  const full = [...groupedBy(front, ({ partition }) => partition)].filter(([, entries]) => entries.length >= window)
  const crowded = full
    .filter(([, entries]) => new Set(entries.map(({ key }) => key)).size < looks.crowdedBelow)
    .map(([partition]) => partition)
    .slice(0, looks.crowdedPartitions)
  const others = full.map(([partition]) => partition).filter((partition) => !crowded.includes(partition))
  // a few partitions have all there is: they get the share of those that have little
  const widened = front.length < limit ? others : []
  const deeper = await Promise.all([
    fronts(database, names.entries, crowded, looks.deepWindow),
    fronts(database, names.entries, widened, windowOf(limit, widened.length)),
  ])
  const isReadAgain = ({ partition }: Met): boolean => crowded.includes(partition) || widened.includes(partition)
  const deep = new Set(full.map(([partition]) => partition))
  noteFull(lastFull, partitions, deep)
  return { met: [...front.filter((entry) => !isReadAgain(entry)), ...deeper.flat()], deep }
}

function windowOf(limit: number, partitions: number): number {
  const share = Math.ceil((2 * limit) / Math.max(1, partitions))
  return Math.min(looks.largestWindow, Math.max(looks.smallestWindow, share))
}

/** Entries of aggregates that wait or are blocked: each comes back when its aggregate may be due. */
function movesOfHeld(met: readonly Met[], held: ReadonlyMap<string, Date>, now: Date): readonly Move[] {
  const latest = new Date(now.getTime() + blockedAsideMs)
  return met.flatMap(({ key, partition, id, moves }) => {
    const until = held.get(key)
    return until ? [{ partition, id, moves, until: until < latest ? until : latest }] : []
  })
}

/**
 * All but the first entry of each aggregate that would fill the scan. The first one stands for it.
 *
 * What comes back comes at once, and may hide what was due later: if it was cut off, all of it goes aside again but for
 * one entry of each aggregate, however little of one it shows.
 */
function movesOfBusy(byAggregate: ReadonlyMap<string, readonly Met[]>, isCutOff: boolean, now: Date): readonly Move[] {
  const until = new Date(now.getTime() + busyAsideMs)
  return [...byAggregate.values()].flatMap((entries) => {
    const isBusy = entries.length > looks.busyAbove
    const others = entries.slice(1).filter(({ isBack }) => isBusy || (isCutOff && isBack))
    return others.map(({ partition, id, moves }) => ({ partition, id, moves, until }))
  })
}

/** Each aggregate by the first of its entries that were met; those that come back are a queue of their own. */
function candidatesFrom(
  byAggregate: ReadonlyMap<string, readonly Met[]>,
  deep: ReadonlySet<number>,
  scattered: ReadonlySet<number>,
): readonly Candidate[] {
  const queues: Readonly<Record<'back' | 'new', Candidate[]>> = { back: [], new: [] }
  for (const entries of byAggregate.values()) {
    const [first] = entries
    if (!first) continue
    const { partition, position, aggregate, key, isBack } = first
    queues[isBack ? 'back' : 'new'].push({
      partition,
      position,
      aggregate,
      key,
      sequences: entries.map(({ sequence }) => sequence).sort((a, b) => a - b),
      isDeep: deep.has(partition) && entries.length > 1,
      isScattered: scattered.has(partition) || entries.some(({ moves }) => moves > 0),
    })
  }
  return inTurns(queues.back, queues.new)
}
