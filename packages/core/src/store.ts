import type { DueEntry, Lease } from './entry.ts'
import type { CallOptions, Enqueue, OutboxSource } from './outbox.ts'

/** One relay incarnation as the store shows it: alive while its beat moves. */
export interface RelayBeat {
  readonly holder: string
  /** raised by each poll of that relay */
  readonly beat: number
}

/** One of the 64 leases as it stands: free when nobody holds it, or its holder is no longer among the relays. */
export interface LeaseState {
  readonly partition: number
  readonly epoch: number
  readonly holder: string | null
}

/** What a relay learns from one round trip. */
export interface Poll {
  /** false: somebody saw this relay's beat stand still and evicted it; its leases are gone, it must join anew */
  readonly isMember: boolean
  /** all members, the caller included */
  readonly relays: readonly RelayBeat[]
  /** all 64 */
  readonly leases: readonly LeaseState[]
  /** partitions that have at least one entry due now, whoever holds them */
  readonly duePartitions: readonly number[]
}

export interface LeaseClaim {
  readonly partition: number
  /** the epoch that the claimant saw: granted only if it still stands */
  readonly epoch: number
  /** grant an epoch above this one too: the broker has seen it, though the (restored) database has not */
  readonly above?: number
}

/** A lease that `acquire` has granted. */
export interface GrantedLease extends Lease {
  /** an entry with two `crashes` or more is pending in the partition; true also where the store cannot rule it out */
  readonly hasSuspects: boolean
}

export interface FetchRequest extends CallOptions {
  readonly leases: readonly Lease[]
  /** entries, at most */
  readonly limit: number
  /** entries of one aggregate, at most */
  readonly limitPerAggregate: number
  /** payload bytes in all, at most; a single larger entry is lent alone */
  readonly maxBytes: number
}

/** What a relay found out about one entry. */
export type Settlement = { readonly entry: DueEntry } & (
  | { readonly outcome: 'published' }
  | {
      /** The aggregate waits `retryInMs`, on the database's clock. */
      readonly outcome: 'retry'
      readonly retryInMs: number
      /** counts against the entry: the broker refused it, or did not answer though it was not away; false for an outage */
      readonly isRefusal: boolean
      readonly reason: string
    }
  | {
      readonly outcome: 'dead'
      readonly reason: string
      /** true: the aggregate stands still until the entry is requeued or discarded */
      readonly blocksAggregate: boolean
    }
)

export interface SettleRequest extends CallOptions {
  /** every lease of the batch: what the store noted as in flight under them is cleared, settled or not */
  readonly leases: readonly Lease[]
  readonly settlements: readonly Settlement[]
}

export interface StoreStats {
  /** neither published nor dead */
  readonly pending: number
  readonly dead: number
  /** age of the oldest pending entry since it was enqueued, on the database's clock; null when none is pending */
  readonly oldestPendingAgeMs: number | null
  /** the same for each partition that has a pending or dead entry, ascending */
  readonly partitions: readonly PartitionStats[]
}

export interface PartitionStats {
  readonly partition: number
  readonly pending: number
  readonly dead: number
  readonly oldestPendingAgeMs: number | null
}

export interface DeadLetter {
  readonly entry: Omit<DueEntry, 'lease' | 'source' | 'isLate'> & { readonly partition: number }
  /** what the last attempt ended with, or why none was made: the words of the error */
  readonly reason: string
  readonly diedAt: Date
  /** the holder of the lease under which it was given up, as the relay's events show it */
  readonly holder: string
}

/**
 * All that is named must fit; `{}`: every dead letter. A name that there is not, `undefined` where something was meant,
 * or what is no `Date` in `diedBefore` is `invalid-option`: such a filter would name more than was meant.
 */
export interface DeadLetterFilter {
  readonly eventType?: string
  readonly aggregateType?: string
  readonly aggregateId?: string
  /** on the database's clock */
  readonly diedBefore?: Date
}

export interface DeadLetters {
  /**
   * A page of dead letters, in the order they were enqueued; `after` is the last id of the page before, which keeps its
   * place when it is requeued or discarded. After an id that the store does not know comes nothing.
   */
  list(
    page: { readonly after?: string; readonly limit: number; readonly where?: DeadLetterFilter } & CallOptions,
  ): Promise<readonly DeadLetter[]>
  /**
   * Gives dead entries another life: pending again at their old place, no attempts counted, a fresh id for the
   * broker's deduplication. Their aggregates are due at once, unless another dead entry blocks them.
   *
   * @returns how many were dead and now are pending; other ids change nothing
   */
  requeue(ids: readonly string[], options?: CallOptions): Promise<number>
  /** Gives dead entries up; an aggregate that one of them blocked goes on. @returns how many were dead */
  discard(ids: readonly string[], options?: CallOptions): Promise<number>
  /**
   * Requeues all that fit, in the order they were enqueued, in steps: when it is cut off, what was requeued stays so.
   *
   * @returns how many were dead and now are pending
   */
  requeueAll(where: DeadLetterFilter, options?: CallOptions): Promise<number>
  /** Gives up all that fit, in steps. @returns how many were dead */
  discardAll(where: DeadLetterFilter, options?: CallOptions): Promise<number>
}

/**
 * A store whose entries any number of relays can share.
 *
 * Every method is one auto-committed step: a process stopped in the middle holds no lock. **Once `acquire` has
 * returned, no earlier lease of the partition changes anything**: every write under a lease compares epoch and
 * holder with the lease as it stands, under a lock that `acquire` takes too. All calls may run at once, from any
 * number of processes. All throw `OutboxError` `unavailable` or `busy` (retryable) when the database cannot answer.
 *
 * An entry is pending, published or dead; pending entries may be parked, which only the store sees. An aggregate is
 * open, waits until a time, or is blocked by a dead entry.
 */
export interface LeasedSource extends OutboxSource {
  /**
   * Looks at the set-up: tables, indexes, columns, privileges, version.
   *
   * @throws {OutboxError} `setup-required`, naming everything that is missing or too old, and what to run
   */
  check(options?: CallOptions): Promise<void>

  /**
   * Makes the caller a member, and the 64 lease rows if they are not there yet.
   *
   * Again under the same name, because an answer was lost, it changes nothing.
   *
   * @param request.holder - random, never used before
   * @returns the name of this outbox, minted once and stored: the broker's fence is kept under it
   */
  join(request: { readonly holder: string } & CallOptions): Promise<{ readonly source: string }>

  /** Raises the caller's beat, which renews all its leases, and looks around. Costs one cheap statement. */
  poll(request: { readonly holder: string } & CallOptions): Promise<Poll>

  /**
   * Evicts relays whose beat still is the one given, then grants the claims whose epoch still stands and which are
   * free: unheld, or held by nobody among the relays. Each grant raises the epoch by at least one.
   *
   * Entries that were noted in flight under a lease taken over this way get `crashes + 1` if they are still pending.
   * Nothing is granted to a caller that is no member.
   *
   * @returns the leases granted, ascending
   */
  acquire(
    request: {
      readonly holder: string
      readonly claims: readonly LeaseClaim[]
      readonly evict: readonly RelayBeat[]
    } & CallOptions,
  ): Promise<readonly GrantedLease[]>

  /**
   * Gives leases back, their in-flight notes cleared: only call it when every attempt under them has a known outcome
   * and is settled. Leases lost meanwhile change nothing. `leave` ends the membership too; leases that are not given
   * back then become free at once.
   */
  release(
    request: { readonly holder: string; readonly leases: readonly Lease[]; readonly leave: boolean } & CallOptions,
  ): Promise<void>

  /**
   * Lends entries that are due, and notes their ids as in flight in the same statement: they take the place of what was
   * noted under the same leases before.
   *
   * For each aggregate it lends a prefix, by sequence, of all its pending entries that were committed when the read
   * began: nothing if the aggregate waits or is blocked. Entries of one aggregate stand in ascending sequence.
   * Aggregates come oldest first; one aggregate, or one partition, does not keep the others out of the batch. An
   * entry with two `crashes` or more is lent alone, before others. Stale leases lend nothing.
   */
  fetch(request: FetchRequest): Promise<readonly DueEntry[]>

  /**
   * Writes down what became of lent entries, and clears the in-flight notes of the leases given.
   *
   * `published` and `dead` end an entry; `retry` makes its aggregate wait; all three reset `crashes`. An entry of the
   * batch without a settlement stays as it was. Of what one call says twice of an entry, the first counts. Saying the same
   * thing twice changes nothing the second time: a settlement counts only for an entry that is pending and still has the
   * `attempt` and the `deduplicationId` it was lent with, so a requeue is not undone by what was said before it. A retry
   * that is no refusal, said again, begins its waiting anew. Without settlements it clears the notes alone.
   *
   * @returns the leases that no longer stand: what was said under them changed nothing
   */
  settle(request: SettleRequest): Promise<{ readonly lost: readonly Lease[] }>

  /**
   * How many entries are pending and dead, in all and by partition, and the age of the oldest pending one. Takes no
   * lease and changes nothing.
   */
  stats(options?: CallOptions): Promise<StoreStats>
  readonly deadLetters: DeadLetters

  /**
   * Deletes published and discarded entries that have been so for `olderThanMs`, at most `limit`, oldest first; never
   * waits for producers, nor they for it. `olderThanMs` is a number from 0 to ten years, `limit` a whole one from 1 on;
   * both may be `Infinity`. Anything else is `invalid-option`.
   *
   * `olderThanMs` must not be less than the time in which a relay may still repeat a settle, `leaseMs` and a bit: if an
   * entry is purged and its id enqueued again within it, the repeated settle can count for the new entry, which is then
   * never published.
   *
   * @returns how many it deleted: fewer than `limit` means that none is left, but for rows that others have locked. A
   *   store may delete whole parts of its table, and then more
   */
  purge(request: { readonly olderThanMs: number; readonly limit: number } & CallOptions): Promise<number>

  /**
   * Calls `wake` soon after entries were committed, with their partitions where it knows them: a relay looks at no
   * others. A hint: it may come late, often or never, and one that comes before the commit is of no use. `wake` must not
   * throw. Disposing ends the subscription.
   */
  subscribe?(wake: Wake): Promise<AsyncDisposable>
}

/** Says that something is due: in these partitions, or without them, anywhere. */
export type Wake = (partitions?: readonly number[]) => void

/** What every store of @outbox is: the trait, and the leases. */
export interface OutboxStore<in Tx> extends Enqueue<Tx>, LeasedSource {}
