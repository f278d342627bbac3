import type { DueEntry, FetchRequest, Lease } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import fc from 'fast-check'
import { expect } from 'vitest'
import type { Pair } from '../pair.ts'
import { ownStep, type Step } from '../step.ts'
import { far } from './far.ts'
import { leasesOf } from './relays.ts'

export function fetching(who: number, limitPerAggregate: number): Step {
  return ownStep('fetch', [who, limitPerAggregate], async (pair) => {
    const request = requestFor(leasesOf(pair.memo, who), limitPerAggregate)
    const model = await pair.model.store.fetch(request)
    const compared = pair.can.lendsTheNewest === true ? fetchAll : fetchByWindow
    const real = await compared(pair, request, model)
    const modelById = new Map(model.map((entry) => [entry.id, entry]))
    pair.memo.batches.push({
      lent: real.map((entry) => ({ real: entry, model: modelById.get(entry.id) ?? entry })),
      verdicts: undefined,
    })
  })
}

export const fetch = fc
  .tuple(fc.nat({ max: 1_000 }), fc.constantFrom(1, 2, 100))
  .map(([who, limit]) => fetching(who, limit))

function requestFor(leases: readonly Lease[], limitPerAggregate: number): FetchRequest {
  return { leases, limit: far, limitPerAggregate, maxBytes: 100_000_000 }
}

/** The name is minted, and lateness is told as far as a store can tell. */
function lentView({ source: _source, isLate: _isLate, ...entry }: DueEntry): unknown {
  return entry
}

type Compared = (pair: Pair, request: FetchRequest, model: readonly DueEntry[]) => Promise<readonly DueEntry[]>

const fetchAll: Compared = async ({ real: { store } }, request, model) => {
  const real = await store.fetch(request)
  expect(byId(real).map(lentView), 'fetch answers as the model does').toEqual(byId(model).map(lentView))
  return real
}

function byId(entries: readonly DueEntry[]): readonly DueEntry[] {
  return [...entries].sort((a, b) => (a.id < b.id ? -1 : 1))
}

/**
 * A log lends window by window: what was committed before a window was opened, until nothing of it is left. So of each
 * aggregate it lends a beginning of what the model does. In a partition it ends early only where it lends something that
 * an earlier fetch could have lent; what it leaves out, it lends before the history ends. Of an aggregate that callers
 * number it may lend a shorter beginning, never none: where the higher number was written first, one of the two is set
 * aside, and comes with the next fetch.
 */
const fetchByWindow: Compared = async (pair, request, model) => {
  const real = await openWindow(pair, request, model)
  const { seen } = pair.memo
  const goesOn = goingOn(real, seen)
  const lent = Map.groupBy(real, aggregateKey)
  for (const [key, due] of Map.groupBy(model, aggregateKey)) {
    const some = lent.get(key) ?? []
    lent.delete(key)
    const isOwed = (entry: DueEntry, place: number): boolean =>
      !goesOn.has(partitionOf(entry)) && (place === 0 || entry.aggregateType !== 'account')
    const expected = due.filter((entry, place) => place < some.length || isOwed(entry, place))
    expect(some.map(lentView), 'fetch lends a beginning of what the model does').toEqual(expected.map(lentView))
  }
  expect([...lent.values()], 'fetch lends of no aggregate of which the model does not').toEqual([])
  await lendNoMore(pair, request.leases, real, model)
  const partitions = new Set(model.map(partitionOf))
  for (const entry of await pair.model.store.fetchUnpublished(far)) {
    if (partitions.has(entry.partition)) seen.add(entry.id)
  }
  return real
}

/**
 * Where nothing is left of a partition's window but what was settled when it was in nobody's hands any more, a fetch may
 * only pass it, if it lends of other partitions, or what stands aside in this one; the next one opens the next window.
 * Each fetch before has opened one at most. A fetch that lends nothing at all has no such excuse.
 */
async function openWindow(
  { real: { store }, memo }: Pair,
  request: FetchRequest,
  model: readonly DueEntry[],
): Promise<readonly DueEntry[]> {
  for (let windows = memo.batches.length; ; windows--) {
    const lent = await store.fetch(request)
    if (windows === 0 || lent.length === 0) return lent
    const from = new Set(lent.map(aggregateKey))
    const goesOn = goingOn(lent, memo.seen)
    if (model.every((entry) => from.has(aggregateKey(entry)) || goesOn.has(partitionOf(entry)))) return lent
  }
}

/** Partitions of whose windows something is left: it is lent first. */
function goingOn(lent: readonly DueEntry[], seen: ReadonlySet<string>): ReadonlySet<number> {
  return new Set(lent.filter(({ id }) => seen.has(id)).map(partitionOf))
}

/**
 * Has the model lend what the store has lent: it is what a relay may die of. Where several aggregates of a partition were
 * cut at different places that cannot be asked for, and both sides are given back what they lent.
 */
async function lendNoMore(
  pair: Pair,
  leases: readonly Lease[],
  real: readonly DueEntry[],
  model: readonly DueEntry[],
): Promise<void> {
  const lent = Map.groupBy(real, partitionOf)
  const due = Map.groupBy(model, partitionOf)
  for (const lease of leases) {
    const some = lent.get(lease.partition) ?? []
    if (some.length === (due.get(lease.partition) ?? []).length) continue
    const most = Math.max(...[...Map.groupBy(some, aggregateKey).values()].map(({ length }) => length))
    const again = await pair.model.store.fetch(requestFor([lease], most))
    if (again.length === some.length && again.every(({ id }) => some.some((entry) => entry.id === id))) continue
    for (const { store } of [pair.model, pair.real]) await store.settle({ leases: [lease], settlements: [] })
  }
}

function partitionOf({ lease }: DueEntry): number {
  return lease.partition
}
