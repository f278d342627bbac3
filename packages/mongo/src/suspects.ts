import type { Lease } from '@outbox/core'
import { aggregateKey, suspectAt } from '@outbox/core/adapter'
import type { Context } from './context.ts'
import { aggregateNameOf } from './entries.ts'
import { holds } from './fronts.ts'
import { type Beginning, type First, heads } from './prefixes.ts'
import { uuidText } from './uuids.ts'
import { type Document, documentIn, numberIn } from './values.ts'

const pageSize = 200
const atOnce = 8

/** In which of these partitions an entry is pending that a relay may have died of. Plan: as below. */
export async function partitionsWithSuspects(
  { database }: Context,
  leases: readonly Lease[],
): Promise<ReadonlySet<number>> {
  const partitions = leases.map(({ partition }) => partition)
  const filter = { partition: { $in: partitions }, crashes: { $gte: suspectAt }, state: 'pending' }
  const entries = await database.find('entries', filter, { projection: { partition: 1 } })
  return new Set(entries.map((entry) => numberIn(entry, 'partition')))
}

/**
 * The oldest entry that a relay may have died of, if it is the head of its aggregate and due: it is lent alone.
 *
 * Plan: the index `suspect`, of what has crashes, is nearly always empty.
 */
export async function oldestSuspect(
  context: Context,
  leases: readonly Lease[],
  now: Date,
): Promise<Beginning | undefined> {
  const { database } = context
  const partitions = leases.map(({ partition }) => partition)
  const seen = new Set<string>()
  const firsts = new Map<string, First>()
  for (let behind: Document = {}; ; ) {
    const filter = { partition: { $in: partitions }, crashes: { $gte: suspectAt }, state: 'pending', ...behind }
    const projection = { partition: 1, aggregate: 1, position: 1 }
    const sort = { position: 1, _id: 1 }
    const page = await database.find('entries', filter, { projection, sort, limit: pageSize })
    const suspects = page.map((entry) => ({
      id: uuidText(entry['_id']),
      partition: numberIn(entry, 'partition'),
      aggregate: documentIn(entry, 'aggregate'),
      key: aggregateKey(aggregateNameOf(entry)),
    }))
    const fresh = suspects.filter(({ key }) => !seen.has(key) && seen.add(key))
    const held = await holds(database, fresh, now)
    const unread = fresh.filter(({ key }) => !held.has(key))
    for (const { id, key } of suspects) {
      if (unread[0]?.key === key) {
        for (const [read, first] of await heads(context, unread.splice(0, atOnce))) firsts.set(read, first)
      }
      const { head, next } = firsts.get(key) ?? {}
      // what stands behind it may be aside: the relay may have died before it put that back
      if (head && head.crashes >= suspectAt && uuidText(head.id) === id) return { taken: [head], next }
    }
    const last = page.at(-1)
    if (!last || page.length < pageSize) return undefined
    const position = numberIn(last, 'position')
    behind = { $or: [{ position: { $gt: position } }, { position, _id: { $gt: last['_id'] } }] }
  }
}
