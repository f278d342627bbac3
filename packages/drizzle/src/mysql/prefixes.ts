import type { FetchRequest } from '@outbox/core'
import { aggregateKey, groupByAggregate } from '@outbox/core/adapter'
import type { AskEnds } from './ends.ts'
import type { Found } from './found.ts'
import type { Names } from './names.ts'
import type { Candidate } from './scan.ts'
import type { Session } from './session.ts'
import { walk } from './walk.ts'
import type { Seen } from './windows.ts'

/**
 * For each candidate, in order, the beginning of its pending entries by sequence: as the windows have shown it, where
 * it is sure that they have, or by a walk.
 */
export async function prefixes(
  session: Session,
  names: Names,
  request: FetchRequest,
  candidates: readonly Candidate[],
  seen: readonly Seen[],
  askEnds: AskEnds,
): Promise<readonly (readonly Found[])[]> {
  const inWindows = shownIn(seen, request.limitPerAggregate)
  const inQuestion = candidates.flatMap((one) => {
    const { entries: [first] = [], isSure } = inWindows.get(aggregateKey(one)) ?? {}
    return first && isSure === 'if it begins with the first' ? [first] : []
  })
  const ends = await askEnds(inQuestion)
  const shown = new Map<string, readonly Found[]>()
  for (const [key, { entries, isSure }] of inWindows) {
    const isBeginning = isSure === true || (isSure !== false && entries[0]?.sequence === ends.get(key)?.pending)
    if (isBeginning) shown.set(key, entries)
  }
  const toWalk = candidates.filter((one) => !shown.has(aggregateKey(one)))
  const walked = await walk(session, names, request, toWalk)
  toWalk.forEach((one, index) => {
    shown.set(aggregateKey(one), walked[index] ?? [])
  })
  return candidates.map((one) => shown.get(aggregateKey(one)) ?? [])
}

/** What the windows show of an aggregate. */
interface Shown {
  /** by sequence, as many as may be lent */
  readonly entries: readonly Found[]
  /** whether they are the beginning of all that is pending of it */
  readonly isSure: boolean | 'if it begins with the first'
}

/**
 * Of each aggregate that no row stands for, by `aggregateKey`.
 *
 * Between a number and the next there is nothing. So where all of them follow each other, all that is left to ask is
 * whether something is pending before them: suspect, or written out of order.
 */
function shownIn(seen: readonly Seen[], limitPerAggregate: number): ReadonlyMap<string, Shown> {
  const open = seen.filter(({ row }) => row === 'none')
  const shown = new Map<string, Shown>()
  for (const indexes of groupByAggregate(open)) {
    const ascending = indexes.flatMap((index) => open[index] ?? []).sort((a, b) => a.sequence - b.sequence)
    const entries = ascending.slice(0, limitPerAggregate)
    const [first] = entries
    if (!first) continue
    const isInRow = entries.every(({ sequence }, index) => sequence === first.sequence + index)
    const isSure = ascending.every(({ isInOrder }) => isInOrder) || (isInRow && 'if it begins with the first')
    shown.set(aggregateKey(first), { entries, isSure })
  }
  return shown
}
