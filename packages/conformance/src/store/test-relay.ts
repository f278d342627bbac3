import type { DueEntry, FetchRequest, GrantedLease, Lease, LeasedSource, Settlement } from '@outbox/core'
import { partitionCount } from '@outbox/core'
import { places } from '../places.ts'

/** A relay's side of the store, driven by a check step by step. */
export interface TestRelay {
  readonly holder: string
  readonly source: string
  /** those it was granted when it was made */
  readonly leases: readonly Lease[]
  /** partitions under suspicion when they were granted */
  readonly suspected: readonly number[]
  /** Fetches under all its leases, practically without limits, unless told otherwise. */
  fetch(request?: Partial<FetchRequest>): Promise<readonly DueEntry[]>
  /** Settles under all its leases. @returns those that were lost */
  settle(settlements: readonly Settlement[]): Promise<readonly Lease[]>
  /** Fetches and settles as published, until nothing is due. @returns the entries in the order they were lent */
  drain(request?: Partial<FetchRequest>): Promise<readonly DueEntry[]>
}

/** Joins, and acquires the given partitions (default: all) as far as they are free. */
export async function startRelay(
  store: LeasedSource,
  options: { readonly partitions?: readonly number[]; readonly holder?: string } = {},
): Promise<TestRelay> {
  const { holder = crypto.randomUUID(), partitions = allPartitions } = options
  const { source } = await store.join({ holder })
  const { leases } = await store.poll({ holder })
  const claims = leases.filter(({ partition }) => partitions.includes(partition))
  const granted = await store.acquire({ holder, claims, evict: [] })
  return testRelay(store, holder, source, granted)
}

/** Takes everything over from a relay that died: evicts it, with the beat that it shows, and claims its leases. */
export async function takeOver(store: LeasedSource, dead: { readonly holder: string }): Promise<TestRelay> {
  const holder = crypto.randomUUID()
  const { source } = await store.join({ holder })
  const { leases, relays } = await store.poll({ holder })
  const claims = leases.filter((lease) => lease.holder === dead.holder)
  const evict = relays.filter((relay) => relay.holder === dead.holder)
  return testRelay(store, holder, source, await store.acquire({ holder, claims, evict }))
}

export const allPartitions: readonly number[] = Array.from({ length: partitionCount }, (_, partition) => partition)

function testRelay(store: LeasedSource, holder: string, source: string, granted: readonly GrantedLease[]): TestRelay {
  const leases = granted.map(leaseOf)
  const fetch: TestRelay['fetch'] = (request) =>
    store.fetch({ leases, limit: 1000, limitPerAggregate: 1000, maxBytes: 64 * 1024 * 1024, ...request })
  const settle: TestRelay['settle'] = async (settlements) => (await store.settle({ leases, settlements })).lost
  return {
    holder,
    source,
    leases,
    suspected: granted.filter(({ hasSuspects }) => hasSuspects).map(({ partition }) => partition),
    fetch,
    settle,
    async drain(request) {
      const all = new Map<string, DueEntry>()
      for (let batch = await fetch(request); batch.length > 0; batch = await fetch(request)) {
        for (const entry of batch) {
          // also what keeps a store that never stops lending from hanging the check
          if (all.has(entry.id)) throw new Error(`${places([entry])} was lent again after it was settled as published`)
          all.set(entry.id, entry)
        }
        await settle(batch.map(published))
      }
      return [...all.values()]
    },
  }
}

/** Whoever takes over from a relay that died with everything in hand. */
export async function heirOfACrash(store: LeasedSource): Promise<TestRelay> {
  const gone = await startRelay(store)
  await gone.fetch()
  return takeOver(store, gone)
}

export async function heirOfTwoCrashes(store: LeasedSource): Promise<TestRelay> {
  const gone = await heirOfACrash(store)
  await gone.fetch()
  return takeOver(store, gone)
}

/** The lease alone, as polls show it. */
export function leaseOf({ partition, epoch, holder }: Lease): Lease {
  return { partition, epoch, holder }
}

export function published(entry: DueEntry): Settlement {
  return { entry, outcome: 'published' }
}

/** Refused by the broker; by default due again at once. */
export function refused(entry: DueEntry, retryInMs: number = 0): Settlement {
  return { entry, outcome: 'retry', retryInMs, isRefusal: true, reason: 'refused by the broker' }
}

/** Not the entry's fault: an outage, or no answer. */
export function postponed(entry: DueEntry, retryInMs: number = 0): Settlement {
  return { entry, outcome: 'retry', retryInMs, isRefusal: false, reason: 'the broker was away' }
}

export function dead(entry: DueEntry, then: 'skip' | 'block', reason: string = 'poison'): Settlement {
  return { entry, outcome: 'dead', reason, blocksAggregate: then === 'block' }
}

/** Long enough to be over after every test run. */
export const farFuture: number = 7 * 24 * 3600 * 1000
