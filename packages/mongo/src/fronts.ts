import { aggregateKey } from '@outbox/core/adapter'
import { inChunks } from './chunks.ts'
import type { Database } from './database.ts'
import { aggregateNameOf, inScan } from './entries.ts'
import { type Document, dateIn, documentIn, numberIn } from './values.ts'

/** An entry as a scan meets it. */
export interface Met {
  readonly id: unknown
  readonly partition: number
  readonly aggregate: Document
  /** one string per aggregate */
  readonly key: string
  readonly position: number
  readonly sequence: number
  readonly moves: number
  /** it was set aside, and its time has come */
  readonly isBack: boolean
}

export const metFields: Document = Object.freeze({
  partition: 1,
  aggregate: 1,
  position: 1,
  sequence: 1,
  moves: 1,
  asideUntil: 1,
})

export function met(document: Document): Met {
  return {
    id: document['_id'],
    partition: numberIn(document, 'partition'),
    aggregate: documentIn(document, 'aggregate'),
    key: aggregateKey(aggregateNameOf(document)),
    position: numberIn(document, 'position'),
    sequence: numberIn(document, 'sequence'),
    moves: numberIn(document, 'moves'),
    isBack: dateIn(document, 'asideUntil') > inScan,
  }
}

/** Queries that one command carries, and commands that are under way at once. */
const perCommand = 16
const atOnce = 4

/**
 * Runs one query per condition, several in a command, each with a limit of its own.
 *
 * Plan: `$unionWith` lets each of them read its own range of an index and stop at the limit; one query over all of the
 * ranges could not.
 */
export async function oneByOne(
  aggregate: (pipeline: readonly Document[]) => Promise<readonly Document[]>,
  collection: string,
  queries: readonly (readonly Document[])[],
): Promise<readonly Document[]> {
  const commands: Document[][] = []
  for (let from = 0; from < queries.length; from += perCommand) {
    const [first = [], ...others] = queries.slice(from, from + perCommand)
    commands.push([...first, ...others.map((pipeline) => ({ $unionWith: { coll: collection, pipeline } }))])
  }
  const found: (readonly Document[])[] = commands.map(() => [])
  const waiting = commands.entries()
  const work = async (): Promise<void> => {
    for (const [index, command] of waiting) found[index] = await aggregate(command)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, commands.length) }, work))
  return found.flat()
}

/** The oldest entries of each partition that stand in the scan, at most `window` of each. Plan: one range of `scan` each. */
export async function fronts(
  database: Database,
  collection: string,
  partitions: readonly number[],
  window: number,
): Promise<readonly Met[]> {
  const queries = partitions.map((partition) => [
    { $match: { partition, state: 'pending', asideUntil: inScan } },
    { $sort: { position: 1 } },
    { $limit: window },
    { $project: metFields },
  ])
  return (await oneByOne((pipeline) => database.aggregate('entries', pipeline), collection, queries)).map(met)
}

/** Entries that one look takes in as they come, whatever partitions they are of. */
const fewEntries = 512

/**
 * All entries of the partitions that stand in the scan, the oldest first, if they are few; undefined if there are more.
 *
 * Plan: a range of `scan`, which ends at the limit; most of the time there is little in it.
 */
export async function allInScan(
  database: Database,
  partitions: readonly number[],
): Promise<readonly Met[] | undefined> {
  const filter = { partition: { $in: partitions }, state: 'pending', asideUntil: inScan }
  const found = await database.find('entries', filter, { projection: metFields, limit: fewEntries })
  return found.length < fewEntries ? found.map(met).sort((a, b) => a.position - b.position) : undefined
}

/** Partitions that have entries in the scan. Plan: where there are many, the first entry of each partition. */
export async function partitionsInScan(
  database: Database,
  collection: string,
  partitions: readonly number[],
): Promise<readonly number[]> {
  if (partitions.length === 0) return []
  const found = (await allInScan(database, partitions)) ?? (await fronts(database, collection, partitions, 1))
  return [...new Set(found.map(({ partition }) => partition))]
}

/** Partitions that have an entry of this kind. Plan: the first such entry of each partition, in the kind's own index. */
export async function partitionsWith(
  database: Database,
  collection: string,
  partitions: readonly number[],
  kind: Document,
): Promise<readonly number[]> {
  const queries = partitions.map((partition) => [
    { $match: { partition, ...kind } },
    { $limit: 1 },
    { $project: { _id: 0, partition: 1 } },
  ])
  const found = await oneByOne((pipeline) => database.aggregate('entries', pipeline), collection, queries)
  return found.map((document) => numberIn(document, 'partition'))
}

/** What was set aside, and whose time has come. */
export function isBackBy(now: Date): Document {
  return { state: 'pending', asideUntil: { $gt: inScan, $lte: now } }
}

/** What was set aside and is due again, the longest due first. Plan: ranges of `aside`, which is small. */
export async function back(
  database: Database,
  partitions: readonly number[],
  now: Date,
  limit: number,
): Promise<readonly Met[]> {
  const filter = { partition: { $in: partitions }, ...isBackBy(now) }
  return (await database.find('entries', filter, { projection: metFields, sort: { asideUntil: 1 }, limit })).map(met)
}

/** Until when aggregates get nothing lent, by their keys; those that are not named are open. Plan: `hold`. */
export async function holds(
  database: Database,
  aggregates: readonly Pick<Met, 'partition' | 'aggregate'>[],
  now: Date,
): Promise<ReadonlyMap<string, Date>> {
  const held = new Map<string, Date>()
  for (const some of inChunks(aggregates)) {
    const filter = {
      partition: { $in: [...new Set(some.map(({ partition }) => partition))] },
      aggregate: { $in: some.map(({ aggregate }) => aggregate) },
      holdsUntil: { $gt: now },
    }
    for (const document of await database.find('entries', filter, { projection: { aggregate: 1, holdsUntil: 1 } })) {
      const key = aggregateKey(aggregateNameOf(document))
      const until = dateIn(document, 'holdsUntil')
      const known = held.get(key)
      if (!known || known < until) held.set(key, until)
    }
  }
  return held
}

/** Each aggregate once, by its first entry. */
export function distinctAggregates(entries: readonly Met[]): readonly Met[] {
  return [...new Map(entries.toReversed().map((entry) => [entry.key, entry])).values()].toReversed()
}
