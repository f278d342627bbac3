import type { FetchRequest } from '@outbox/core'
import { aggregateKey, groupedBy, suspectAt } from '@outbox/core/adapter'
import type { Context } from './context.ts'
import { aggregateNameOf, lentFields } from './entries.ts'
import { oneByOne } from './fronts.ts'
import type { Candidate } from './scan.ts'
import { type Document, dateIn, isAbsent, numberIn } from './values.ts'

/** What deciding over a batch needs to know of an entry. */
export interface Place {
  readonly id: unknown
  readonly partition: number
  readonly key: string
  readonly payloadBytes: number
  readonly crashes: number
  readonly asideUntil: Date
  /** what is lent of it, if it was read along */
  readonly content: Document | undefined
}

/** What a batch takes of one aggregate, and what stands right behind it. */
export interface Beginning {
  readonly taken: readonly Place[]
  readonly next: Place | undefined
}

const fields: Document = Object.freeze({
  partition: 1,
  aggregate: 1,
  payloadBytes: 1,
  crashes: 1,
  asideUntil: 1,
  sequence: 1,
})

/** Payloads up to this size come along with the place: a thousand of them are some MiB. */
const smallBytes = 4_096

const fieldsWithContent: Document = Object.freeze({
  ...fields,
  ...lentFields,
  payload: { $cond: [{ $lte: ['$payloadBytes', smallBytes] }, '$payload', null] },
})

/**
 * Reads the candidates anew, each by sequence from its lowest pending entry on, and takes from one after the other until
 * the batch is full.
 *
 * Each aggregate is read by one query, at one instant after the scan: a query that met later commits on its way could
 * pass over 5, then see 6, which was committed after it. So what is taken is the beginning of all that was pending.
 */
export async function beginnings(
  context: Context,
  candidates: readonly Candidate[],
  request: Pick<FetchRequest, 'limit' | 'limitPerAggregate' | 'maxBytes'>,
): Promise<readonly Beginning[]> {
  const found: Beginning[] = []
  const room = { entries: request.limit, bytes: request.maxBytes, isEmpty: true }
  for (let rest = candidates, factor = firstFactor; rest.length > 0 && room.entries > 0; factor = 1) {
    const guess = { ...request, factor }
    const some = enoughFor(room.entries, rest, guess)
    rest = rest.slice(some.length)
    const pending = await pendingOf(context, some, guess)
    for (const { key } of some) {
      const [head, ...others] = pending.get(key) ?? []
      // found out about since the suspects were looked for: it goes alone all the same
      if (head && head.crashes >= suspectAt) return [{ taken: [head], next: others[0] }]
      const beginning = take(pending.get(key) ?? [], request.limitPerAggregate, room)
      if (beginning.taken.length > 0) found.push(beginning)
    }
    if (found.length > 0 && room.bytes <= 0) break
  }
  return found
}

/** So many candidates that they may fill the room, but for surprises. */
function enoughFor(room: number, candidates: readonly Candidate[], guess: Guess): readonly Candidate[] {
  let expected = 0
  const end = candidates.findIndex((candidate) => {
    expected += expectedOf(candidate, guess)
    return expected >= room
  })
  return end < 0 ? candidates : candidates.slice(0, end + 1)
}

/** How much of an aggregate is expected. */
interface Guess {
  readonly limitPerAggregate: number
  /** times what was seen, if there may be more */
  readonly factor: number
}

/** A window shows an aggregate's entries between those of others. If that was too high, what was seen is what counts. */
const firstFactor = 4

function expectedOf({ sequences, isDeep, isScattered }: Candidate, { limitPerAggregate, factor }: Guess): number {
  return Math.min(isDeep || isScattered ? factor * sequences.length : sequences.length, limitPerAggregate)
}

/** The beginning of each aggregate's pending entries by sequence; of a scattered one, one more than may be lent of it. */
async function pendingOf(
  context: Context,
  candidates: readonly Candidate[],
  guess: Guess & Pick<FetchRequest, 'limit'>,
): Promise<ReadonlyMap<string, readonly Place[]>> {
  const plain = candidates.filter(({ isScattered }) => !isScattered)
  const expected = plain.reduce((sum, candidate) => sum + expectedOf(candidate, guess), 0)
  const most = 2 * Math.max(guess.limit, expected) + 100
  const together = await readTogether(context, plain, guess, most)
  // cut off in no order: what was read is no beginning
  const isWhole = together.length < most
  const alone = isWhole ? candidates.filter(({ isScattered }) => isScattered) : candidates
  const read = await readAlone(context, alone, guess.limitPerAggregate + 1)
  return groupedBy([...(isWhole ? together : []), ...read], ({ key }) => key)
}

/**
 * Each aggregate up to a sequence, as far as it is expected to be lent: so no long one comes whole, and what comes is a
 * beginning, for everything that is pending below comes too. None of it is aside, so nothing behind has to be put back.
 *
 * Plan: a range of `order` for each aggregate. Sorted here, because a sort of the server's would come before the limit.
 */
async function readTogether(
  { database }: Context,
  candidates: readonly Candidate[],
  guess: Guess,
  limit: number,
): Promise<Place[]> {
  if (candidates.length === 0) return []
  const ranges = candidates.map((candidate) => ({
    aggregate: candidate.aggregate,
    sequence: { $lte: reachOf(candidate, guess) },
    state: 'pending',
  }))
  const found = await database.findAtOnce('entries', { $or: ranges }, { projection: fieldsWithContent, limit })
  return found.toSorted((a, b) => numberIn(a, 'sequence') - numberIn(b, 'sequence')).map(place)
}

/** At least as far as was seen: numbers of a caller's own may have gaps. */
function reachOf(candidate: Candidate, guess: Guess): number {
  const { sequences } = candidate
  const [lowest = 0] = sequences
  const seen = sequences[Math.min(sequences.length, guess.limitPerAggregate) - 1] ?? lowest
  return Math.max(seen, lowest + expectedOf(candidate, guess) - 1)
}

/** Plan: for each aggregate one range of `order`, which ends after so many entries. */
async function readAlone(
  { database, names }: Context,
  candidates: readonly Pick<Candidate, 'aggregate'>[],
  limit: number,
): Promise<Place[]> {
  const queries = candidates.map(({ aggregate }) => [
    { $match: { aggregate, state: 'pending' } },
    { $sort: { sequence: 1 } },
    { $limit: limit },
    { $project: fields },
  ])
  const found = await oneByOne((pipeline) => database.aggregateAtOnce('entries', pipeline), names.entries, queries)
  return found.map(place)
}

/** The first pending entry of an aggregate, and the one behind it. */
export interface First {
  readonly head: Place
  readonly next: Place | undefined
}

/** Those of several aggregates, by the aggregate's key. */
export async function heads(
  context: Context,
  aggregates: readonly Pick<Candidate, 'aggregate'>[],
): Promise<ReadonlyMap<string, First>> {
  const found = groupedBy(await readAlone(context, aggregates, 2), ({ key }) => key)
  return new Map([...found].flatMap(([key, [head, next]]) => (head ? [[key, { head, next }]] : [])))
}

function place(document: Document): Place {
  return {
    id: document['_id'],
    partition: numberIn(document, 'partition'),
    key: aggregateKey(aggregateNameOf(document)),
    payloadBytes: numberIn(document, 'payloadBytes'),
    crashes: numberIn(document, 'crashes'),
    asideUntil: dateIn(document, 'asideUntil'),
    content: isAbsent(document['payload']) ? undefined : document,
  }
}

/** What is left of a batch. */
interface Room {
  entries: number
  bytes: number
  isEmpty: boolean
}

/** Takes as many as fit; an aggregate ends before an entry that a relay may have died of: that is lent alone. */
function take(pending: readonly Place[], limitPerAggregate: number, room: Room): Beginning {
  const taken: Place[] = []
  for (const entry of pending) {
    const isTooLarge = !room.isEmpty && entry.payloadBytes > room.bytes
    const isSuspect = taken.length > 0 && entry.crashes >= suspectAt
    if (room.entries === 0 || taken.length >= limitPerAggregate || isTooLarge || isSuspect)
      return { taken, next: entry }
    taken.push(entry)
    room.entries -= 1
    room.bytes -= entry.payloadBytes
    room.isEmpty = false
  }
  return { taken, next: undefined }
}
