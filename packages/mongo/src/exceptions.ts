import { suspectAt } from '@outbox/core/adapter'
import type { Context } from './context.ts'
import { inScan } from './entries.ts'
import { back, type Met, met, metFields, oneByOne } from './fronts.ts'
import { type Document, dateIn, numberIn } from './values.ts'

/** What is out of the ordinary in some partitions. While all goes well there is nothing of it. */
export interface Exceptions {
  /** a relay may have died of an entry */
  readonly hasSuspects: boolean
  /** an aggregate waits, or is blocked */
  readonly hasHolds: boolean
  /** what was set aside and is due again, the longest due first */
  readonly returned: readonly Met[]
  /** more is due again than `returned` shows */
  readonly isCutOff: boolean
  /** partitions that may have entries aside, due or not */
  readonly scattered: ReadonlySet<number>
}

/** With so many entries aside, the due ones are asked for separately. */
const fewAside = 64

/**
 * Looks for all of it in one command, because most of the time there is nothing to be found.
 *
 * A hold that is not seen here cannot begin before the fetch has noted what it lends: only a settle makes one, and the
 * note asks for the log that the fetch saw at its beginning.
 *
 * Plan: the beginnings of `suspect`, `hold` and `aside`.
 */
export async function exceptionsIn(
  { database, names }: Context,
  partitions: readonly number[],
  now: Date,
  limit: number,
): Promise<Exceptions> {
  const of = (kind: string, filter: Document, most: number): readonly Document[] => [
    { $match: { partition: { $in: partitions }, ...filter } },
    { $limit: most },
    { $project: { ...metFields, kind: { $literal: kind } } },
  ]
  const found = await oneByOne((pipeline) => database.aggregate('entries', pipeline), names.entries, [
    of('suspect', { crashes: { $gte: suspectAt }, state: 'pending' }, 1),
    of('hold', { holdsUntil: { $gt: now } }, 1),
    of('aside', { state: 'pending', asideUntil: { $gt: inScan } }, fewAside),
  ])
  const isThere = (kind: string): boolean => found.some((document) => document['kind'] === kind)
  const aside = found.filter(({ kind }) => kind === 'aside')
  const areAll = aside.length < fewAside
  const returned = areAll ? dueOf(aside, now) : await back(database, partitions, now, limit)
  return {
    hasSuspects: isThere('suspect'),
    hasHolds: isThere('hold'),
    returned,
    isCutOff: !areAll && returned.length >= limit,
    scattered: new Set(areAll ? aside.map((document) => numberIn(document, 'partition')) : partitions),
  }
}

function dueOf(aside: readonly Document[], now: Date): readonly Met[] {
  const until = (document: Document): number => dateIn(document, 'asideUntil').getTime()
  return aside
    .filter((document) => until(document) <= now.getTime())
    .toSorted((a, b) => until(a) - until(b))
    .map(met)
}
