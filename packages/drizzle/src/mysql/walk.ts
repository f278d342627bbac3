import type { FetchRequest } from '@outbox/core'
import { type Found, foundColumns, foundIn, numberedBy } from './found.ts'
import { by, inOrder } from './indexes.ts'
import { givenTable, hexOf } from './literals.ts'
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
  const { limit } = request
  const limitPerAggregate = Math.min(request.limitPerAggregate, longestWalk)
  let depth = Math.min(limitPerAggregate, Math.ceil(limit / candidates.length))
  for (;;) {
    const found = await walkTo(session, names, request, candidates, depth)
    const isEnough = found.reduce((sum, prefix) => sum + prefix.length, 0) >= limit
    if (isEnough || depth === limitPerAggregate || found.every((prefix) => prefix.length < depth)) return found
    depth = Math.min(limitPerAggregate, depth * 4)
  }
}

/** MySQL ends a recursion with an error after `cte_max_recursion_depth` steps, 1,000 by default. */
const longestWalk = 900

/**
 * Plan: from one entry of an aggregate to the next by the index of the order, all aggregates side by side. Neither
 * server has a LIMIT for each row of a join, and a join without one would read a long backlog to its end.
 */
async function walkTo(
  session: Session,
  names: Names,
  request: FetchRequest,
  candidates: readonly Candidate[],
  depth: number,
): Promise<readonly (readonly Found[])[]> {
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
  const rows = await session.read(
    `with recursive walk as (
      select candidate.nth as candidate, of_type, of_id, 1 as step, ${next('candidate', '')} as sequence from ${given}
      union all
      select walk.candidate, of_type, of_id, walk.step + 1, ${next('walk', 'and e.sequence > walk.sequence')}
      from walk
      where walk.step < ${depth} and walk.sequence is not null
    )
    select walk.candidate, ${foundColumns(names, request, depth * candidates.length)}
    from walk straight_join ${entries} e ${by(names, 'entries_sequence')}
      on e.aggregate_type = unhex(walk.of_type) and e.aggregate_id = unhex(walk.of_id) and e.sequence = walk.sequence
    ${numberedBy(names)}`,
    request,
  )
  const found: Found[][] = candidates.map(() => [])
  for (const row of rows) found[numberIn(row, 'candidate') - 1]?.push(foundIn(row))
  return found.map((prefix) => prefix.sort((a, b) => a.sequence - b.sequence))
}
