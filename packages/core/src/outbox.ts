import type { OutboxEntry } from './entry.ts'
import type { Enqueueable, OneOrMany } from './new-entry.ts'

export type Awaitable<T> = T | PromiseLike<T>

/** What became of one enqueued event, in the order given. */
export interface Receipt {
  readonly id: string
  /** the aggregate's sequence; of a duplicate, the one it was first written with */
  readonly sequence: number
  /** an entry with this id was there already: nothing was written for it */
  readonly duplicate: boolean
}

export interface CallOptions {
  /** Aborting rejects the call with the signal's reason; what reached the database may still take effect. */
  readonly signal?: AbortSignal | undefined
}

/**
 * The producer's half of the outbox.
 *
 * `in Tx`: an `Enqueue<unknown>`, such as a test double, fits wherever an `Enqueue<PgTransaction>` is asked for.
 */
export interface Enqueue<in Tx> {
  /**
   * Writes events in the caller's transaction: they exist once it commits, and never did if it rolls back.
   *
   * Idempotent on the event's id. A batch is written whole or not at all, sorted by sequence per aggregate. Any
   * number of transactions may enqueue at once; two that number the same aggregate wait for each other.
   *
   * Synchronous where the driver is (better-sqlite3): then it is done, or has thrown, when it returns.
   *
   * @throws {OutboxError} `invalid-event`, `sequence-source-mixed`, `sequence-conflict`, `not-a-transaction`: nothing
   *   was written · `busy`, `unavailable`: run the whole transaction again
   */
  readonly enqueue: (tx: Tx, events: OneOrMany<Enqueueable>) => Awaitable<readonly Receipt[]>
}

/** The relay's half of the trait: no transaction handle in sight, so no type parameter. */
export interface OutboxSource {
  /**
   * Committed entries that are neither published nor dead, oldest first, at most `limit`.
   *
   * Takes no lease and locks nothing: two callers get the same entries.
   */
  fetchUnpublished(limit: number, options?: CallOptions): Promise<readonly OutboxEntry[]>
  /** Marks entries as published; absent, dead and already published ids change nothing. */
  markPublished(ids: readonly string[], options?: CallOptions): Promise<void>
}

/** The transactional outbox. A store with these three methods can be relayed, by one relay at a time. */
export interface Outbox<in Tx> extends Enqueue<Tx>, OutboxSource {}
