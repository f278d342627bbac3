import {
  type DueEntry,
  type GrantedLease,
  type Lease,
  type OutboxEntry,
  type OutboxSource,
  partitionCount,
  type Settlement,
} from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import type { RelayContext } from './context.ts'
import type { RelayStore } from './store-calls.ts'

/** The most entries read at once in search of one that is due. */
const maxWindow = 10_000

/** What is known of an entry that could not be published; in memory, for as long as this relay lives. */
interface Trouble {
  readonly refused: number
  readonly isDead: boolean
  /** monotonic time until which its aggregate waits; infinity: it is a dead letter that blocks it */
  readonly until: number
}

/**
 * Lets the relay work with a store that has only the three methods of the trait.
 *
 * All that a leased store keeps in the database is kept here instead: attempts, waits and dead letters are forgotten
 * when the relay ends, and a dead letter is tried again after the next start. What is no longer among the unpublished is
 * forgotten too: a dead letter that was marked as published blocks nothing. There are no leases: two relays at once would
 * publish everything twice, so there must be one. Order per aggregate holds as far as `fetchUnpublished` returns an
 * aggregate's entries by sequence.
 *
 * What waits or is dead stands before all that came later, and is read with it. At most 10,000 entries are read at once,
 * so memory is bounded whatever the backlog: while that many of the oldest wait or are dead, nothing behind them leaves,
 * and a `warning` says so.
 *
 * An aggregate with a long backlog holds up others: `batchSize` entries that are due are read, of which at most
 * `batchSizePerAggregate` of one aggregate leave, and what stands further behind is not seen before its turn. To look
 * past them would be to read 10,000 entries for each batch.
 */
export class UnleasedStore implements RelayStore {
  readonly #source: OutboxSource
  readonly #context: RelayContext
  readonly #trouble = new Map<string, Trouble>()
  /** there is nobody to share with: what is claimed is granted */
  readonly #granted = new Set<number>()
  /** entries that were not due at the last look: the next one reads past as many from the start */
  #passed = 0
  #isBlocked = false

  constructor(source: OutboxSource, context: RelayContext) {
    this.#source = source
    this.#context = context
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

  async acquire({ holder, claims }: Parameters<RelayStore['acquire']>[0]): Promise<readonly GrantedLease[]> {
    for (const { partition } of claims) this.#granted.add(partition)
    return claims.map(({ partition }) => ({ partition, epoch: 0, holder, hasSuspects: false }))
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
    const { entry, outcome } = settlement
    if (outcome === 'published') {
      this.#trouble.delete(entry.id)
    } else if (outcome === 'retry') {
      const refused = entry.attempt - (settlement.isRefusal ? 0 : 1)
      this.#trouble.set(entry.id, { refused, isDead: false, until: this.#now + settlement.retryInMs })
    } else {
      const until = settlement.blocksAggregate ? Number.POSITIVE_INFINITY : this.#now
      this.#trouble.set(entry.id, { refused: entry.attempt, isDead: true, until })
    }
  }

  get #now(): number {
    return this.#context.settings.clock.monotonic()
  }

  /** Entries that are due, each aggregate by sequence: looks past those that are dead or wait, as far as it may. */
  async #due(limit: number, signal: AbortSignal | undefined): Promise<readonly OutboxEntry[]> {
    for (let window = limit + this.#passed; ; window *= 2) {
      window = Math.min(window, maxWindow)
      const troubled = [...this.#trouble.keys()]
      const entries = await this.#source.fetchUnpublished(window, signal ? { signal } : {})
      const due = this.#dueAmong(entries)
      const isAll = entries.length < window
      this.#passed = entries.length - due.length
      if (isAll) this.#forget(troubled, entries)
      if (due.length < limit && !isAll && window < maxWindow) continue
      this.#tell(due.length === 0 && !isAll, window)
      return due
    }
  }

  #dueAmong(entries: readonly OutboxEntry[]): readonly OutboxEntry[] {
    const now = this.#now
    const heads = entries.filter(({ id }) => (this.#trouble.get(id)?.until ?? now) > now)
    const waiting = new Set(heads.map(aggregateKey))
    return bySequence(entries.filter((e) => !this.#trouble.get(e.id)?.isDead && !waiting.has(aggregateKey(e))))
  }

  /** Those of `troubled`, known before the read began, that are not among the unpublished any more. */
  #forget(troubled: readonly string[], unpublished: readonly OutboxEntry[]): void {
    const ids = new Set(unpublished.map(({ id }) => id))
    for (const id of troubled) if (!ids.has(id)) this.#trouble.delete(id)
  }

  /** Says once that nothing can be seen past what is not due. */
  #tell(isBlocked: boolean, window: number): void {
    if (isBlocked && !this.#isBlocked) {
      const message = `The ${window} oldest unpublished entries wait or are dead letters; the relay looks no further, and nothing behind them leaves.`
      this.#context.events.emit('warning', { message })
    }
    this.#isBlocked = isBlocked
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
