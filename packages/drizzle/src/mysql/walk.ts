import type { FetchRequest } from '@outbox/core'
import { type Found, foundColumns, foundIn, numberedBy } from './found.ts'
import { by, byKey, inOrder, usualPlan } from './indexes.ts'
import { givenTable, hexOf, textLiteral } from './literals.ts'
import type { Names } from './names.ts'
import { numberIn } from './rows.ts'
import type { Candidate } from './scan.ts'
import type { Session } from './session.ts'

/** For each candidate, in order, the beginning of its pending entries by sequence: as much as the batch may need. */
export async function walk(
  session: Session,
  names: Names,
  request: FetchRequest,
  candidates: readonly Candidate[],
): Promise<readonly (readonly Found[])[]> {
  if (candidates.length === 0) return []
  const { limit, limitPerAggregate } = request
  const found: (readonly Found[])[] = candidates.map(() => [])
  let open = candidates.map((candidate, place) => ({ candidate, place }))
  let depth = Math.min(limitPerAggregate, Math.ceil(limit / candidates.length))
  for (;;) {
    const [walked, reach] = await walkTo(
      session,
      names,
      request,
      open.map(({ candidate }) => candidate),
      depth,
    )
    open.forEach(({ place }, index) => {
      found[place] = walked[index] ?? []
    })
    open = open.filter(({ place }) => found[place]?.length === reach)
    const isEnough = found.reduce((sum, prefix) => sum + prefix.length, 0) >= limit
    if (isEnough || open.length === 0 || depth === limitPerAggregate) return found
    depth = Math.min(limitPerAggregate, depth * 4)
  }
}

/** @returns the beginnings, and how long each is unless it is all there is */
async function walkTo(
  session: Session,
  names: Names,
  request: FetchRequest,
  candidates: readonly Candidate[],
  depth: number,
): Promise<readonly [walked: readonly (readonly Found[])[], reach: number]> {
  const isEach = candidates.length <= mostRanges
  const reach = isEach ? depth : Math.min(depth, longestWalk)
  const text = (isEach ? rangesOf : stepsOf)(names, request, candidates, reach)
  const found: Found[][] = candidates.map(() => [])
  for (const row of await session.read(text, request)) found[numberIn(row, 'candidate') - 1]?.push(foundIn(row))
  return [found.map((prefix) => prefix.sort((a, b) => a.sequence - b.sequence)), reach]
}

/** A server opens its table once for each, and keeps some hundreds open. */
const mostRanges = 64

/** Plan: the beginning of a range of the index of the order for each, then each entry by its key. */
function rangesOf(names: Names, request: FetchRequest, candidates: readonly Candidate[], depth: number): string {
  const { entries } = names
  const ranges = candidates.map(
    ({ aggregateType, aggregateId }, index) => `(
      select ${index + 1} as candidate, e.position from ${entries} e ${by(names, 'entries_order')}
      where e.aggregate_type = ${textLiteral(aggregateType)} and e.aggregate_id = ${textLiteral(aggregateId)}
        and e.state = 'pending'
      order by e.sequence limit ${depth})`,
  )
  return `select walk.candidate, ${foundColumns(request, depth * candidates.length)}
    from (${ranges.join('\nunion all\n')}) walk straight_join ${entries} e ${byKey} on e.position = walk.position
    ${numberedBy(names)}`
}

/** MySQL ends a recursion with an error after `cte_max_recursion_depth` steps, 1,000 by default. */
const longestWalk = 900

/**
 * Plan: from one entry of an aggregate to the next by the index of the order, all aggregates side by side. Neither
 * server has a LIMIT for each row of a join, and a join without one would read a long backlog to its end.
 *
 * Neither seeks by a bound that another row gives, either: each step begins at the first entry anew, so walks of many
 * aggregates had better be short ones. They are, unless most of a batch is one among many that have next to nothing.
 */
function stepsOf(names: Names, request: FetchRequest, candidates: readonly Candidate[], depth: number): string {
  const { entries } = names
  const given = givenTable(
    'candidate',
    { of_type: 'hex', of_id: 'hex' },
    candidates.map(({ aggregateType, aggregateId }) => [hexOf(aggregateType), hexOf(aggregateId)]),
  )
  const next = (from: string, condition: string): string => `(
      select e.sequence from ${entries} e ${by(names, 'entries_order')}
      where e.aggregate_type = unhex(${from}.of_type) and e.aggregate_id = unhex(${from}.of_id) and e.state = 'pending'
        ${condition}
      ${inOrder('e')})`
  return `with recursive walk as (
      select candidate.nth as candidate, of_type, of_id, 1 as step, ${next('candidate', '')} as sequence from ${given}
      union all
      select walk.candidate, of_type, of_id, walk.step + 1, ${next('walk', 'and e.sequence > walk.sequence')}
      from walk
      where walk.step < ${depth} and walk.sequence is not null
    )
    select ${usualPlan} walk.candidate, ${foundColumns(request, depth * candidates.length)}
    from walk straight_join ${entries} e ${by(names, 'entries_sequence')}
      on e.aggregate_type = unhex(walk.of_type) and e.aggregate_id = unhex(walk.of_id) and e.sequence = walk.sequence
    ${numberedBy(names)}`
}
