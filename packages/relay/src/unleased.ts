import {
  type Clock,
  type DueEntry,
  type Lease,
  type OutboxEntry,
  type OutboxSource,
  partitionCount,
  type Settlement,
} from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import type { RelayStore } from './store-calls.ts'

/** What is known of an entry that could not be published; in memory, for as long as this relay lives. */
interface Trouble {
  refused: number
  isDead: boolean
}

/**
 * Lets the relay work with a store that has only the three methods of the trait.
 *
 * All that a leased store keeps in the database is kept here instead: attempts, waits and dead letters are forgotten
 * when the relay ends, and a dead letter is tried again after the next start. There are no leases: two relays at once
 * would publish everything twice, so there must be one. Order per aggregate holds as far as `fetchUnpublished` returns
 * an aggregate's entries by sequence.
 */
export class UnleasedStore implements RelayStore {
  readonly #source: OutboxSource
  readonly #clock: Clock
  readonly #trouble = new Map<string, Trouble>()
  /** aggregate → monotonic time until which it waits; infinity: a dead letter blocks it */
  readonly #waiting = new Map<string, number>()
  /** there is nobody to share with: what is claimed is granted */
  readonly #granted = new Set<number>()

  constructor(source: OutboxSource, clock: Clock) {
    this.#source = source
    this.#clock = clock
  }

  async check(): Promise<void> {}

  async join(): Promise<{ readonly source: string }> {
    return { source: 'outbox' }
  }

  async poll({ holder, signal }: Parameters<RelayStore['poll']>[0]): ReturnType<RelayStore['poll']> {
    const due = await this.#due(1, signal)
    return {
      isMember: true,
      relays: [{ holder, beat: 0 }],
      leases: partitions.map((partition) => ({
        partition,
        epoch: 0,
        holder: this.#granted.has(partition) ? holder : null,
      })),
      duePartitions: due.length > 0 ? partitions : [],
    }
  }

  async acquire({ holder, claims }: Parameters<RelayStore['acquire']>[0]): Promise<readonly Lease[]> {
    for (const { partition } of claims) this.#granted.add(partition)
    return claims.map(({ partition }) => ({ partition, epoch: 0, holder }))
  }

  async release({ leases }: Parameters<RelayStore['release']>[0]): Promise<void> {
    for (const { partition } of leases) this.#granted.delete(partition)
  }

  async fetch(request: Parameters<RelayStore['fetch']>[0]): Promise<readonly DueEntry[]> {
    const leases = new Map(request.leases.map((lease) => [lease.partition, lease]))
    const perAggregate = new Map<string, number>()
    const batch: DueEntry[] = []
    let bytes = 0
    for (const entry of await this.#due(request.limit, request.signal)) {
      const lease = leases.get(entry.partition)
      const key = aggregateKey(entry)
      const count = (perAggregate.get(key) ?? 0) + 1
      if (!lease || count > request.limitPerAggregate) continue
      bytes += Buffer.byteLength(entry.payload)
      if (batch.length === request.limit || (batch.length > 0 && bytes > request.maxBytes)) break
      perAggregate.set(key, count)
      batch.push(this.#lend(entry, lease))
    }
    return batch
  }

  async settle({ settlements, signal }: Parameters<RelayStore['settle']>[0]): ReturnType<RelayStore['settle']> {
    const published = settlements.filter(({ outcome }) => outcome === 'published').map(({ entry }) => entry.id)
    if (published.length > 0) await this.#source.markPublished(published, signal ? { signal } : {})
    for (const settlement of settlements) this.#note(settlement)
    return { lost: [] }
  }

  #note(settlement: Settlement): void {
    const { entry } = settlement
    const key = aggregateKey(entry)
    if (settlement.outcome === 'published') {
      this.#trouble.delete(entry.id)
      this.#waiting.delete(key)
    } else if (settlement.outcome === 'retry') {
      this.#trouble.set(entry.id, { refused: entry.attempt - (settlement.isRefusal ? 0 : 1), isDead: false })
      this.#waiting.set(key, this.#clock.monotonic() + settlement.retryInMs)
    } else {
      this.#trouble.set(entry.id, { refused: entry.attempt, isDead: true })
      if (settlement.blocksAggregate) this.#waiting.set(key, Number.POSITIVE_INFINITY)
      else this.#waiting.delete(key)
    }
  }

  /** Entries that are due, each aggregate by sequence: looks past those that are dead or wait. */
  async #due(limit: number, signal: AbortSignal | undefined): Promise<readonly OutboxEntry[]> {
    for (let window = limit; ; window *= 2) {
      const entries = await this.#source.fetchUnpublished(window, signal ? { signal } : {})
      const due = bySequence(entries.filter((entry) => this.#isDue(entry)))
      if (due.length >= limit || entries.length < window) return due
    }
  }

  #isDue(entry: OutboxEntry): boolean {
    if (this.#trouble.get(entry.id)?.isDead) return false
    return (this.#waiting.get(aggregateKey(entry)) ?? Number.NEGATIVE_INFINITY) <= this.#clock.monotonic()
  }

  #lend(entry: OutboxEntry, lease: Lease): DueEntry {
    const { published: _published, publishedAt: _publishedAt, partition: _partition, ...content } = entry
    return {
      ...content,
      lease,
      source: 'outbox',
      attempt: (this.#trouble.get(entry.id)?.refused ?? 0) + 1,
      crashes: 0,
      deduplicationId: entry.id,
      isLate: false,
    }
  }
}

const partitions: readonly number[] = Array.from({ length: partitionCount }, (_, partition) => partition)

/** Puts each aggregate's entries in ascending sequence, in the places that the aggregate has. */
function bySequence(entries: readonly OutboxEntry[]): readonly OutboxEntry[] {
  const queues = new Map<string, OutboxEntry[]>()
  for (const entry of entries) {
    const queue = queues.get(aggregateKey(entry))
    if (queue) queue.push(entry)
    else queues.set(aggregateKey(entry), [entry])
  }
  for (const queue of queues.values()) queue.sort((a, b) => a.sequence - b.sequence)
  return entries.flatMap((entry) => queues.get(aggregateKey(entry))?.shift() ?? [])
}
