import type { FetchRequest } from '@outbox/core'
import { aggregateKey, groupByAggregate } from '@outbox/core/adapter'
import type { Found } from './found.ts'
import { by, inOrder } from './indexes.ts'
import { givenTable, hexOf } from './literals.ts'
import type { Names } from './names.ts'
import { numberIn, numberOrNullIn } from './rows.ts'
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
): Promise<readonly (readonly Found[])[]> {
  const inWindows = shownIn(seen, request.limitPerAggregate)
  const toAsk = candidates.filter((one) => inWindows.get(aggregateKey(one))?.isSure === 'if it begins with the first')
  const firsts = await firstPending(session, names, request, toAsk)
  const shown = new Map<string, readonly Found[]>()
  for (const [key, { entries, isSure }] of inWindows) {
    if (isSure === true || (isSure !== false && entries[0]?.sequence === firsts.get(key))) shown.set(key, entries)
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

/**
 * The lowest sequence that is pending of each, by `aggregateKey`. It may be read later than the windows: what was
 * pending by then, and is not any more, was settled by somebody who has the lease now, and nothing is lent.
 *
 * Not the highest one before each entry in the windows: neither server seeks by a bound that another row gives, and of a
 * long backlog it would walk through all that is above.
 *
 * Plan: one look into the index of the order for each.
 */
async function firstPending(
  session: Session,
  names: Names,
  request: FetchRequest,
  candidates: readonly Candidate[],
): Promise<ReadonlyMap<string, number | null>> {
  if (candidates.length === 0) return new Map()
  const given = givenTable(
    'candidate',
    { of_type: 'hex', of_id: 'hex' },
    candidates.map(({ aggregateType, aggregateId }) => [hexOf(aggregateType), hexOf(aggregateId)]),
  )
  const rows = await session.read(
    `select candidate.nth, (
      select e.sequence from ${names.entries} e ${by(names, 'entries_order')}
      where e.aggregate_type = unhex(candidate.of_type) and e.aggregate_id = unhex(candidate.of_id)
        and e.state = 'pending'
      ${inOrder('e')}) as sequence
    from ${given}`,
    request,
  )
  return new Map(
    rows.flatMap((row) => {
      const candidate = candidates[numberIn(row, 'nth') - 1]
      return candidate ? [[aggregateKey(candidate), numberOrNullIn(row, 'sequence')] as const] : []
    }),
  )
}
