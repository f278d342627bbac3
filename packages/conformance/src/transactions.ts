import type { Awaitable } from '@outbox/core'
import type { Capability } from './capability.ts'

/** What a database may be unable to do. Give the reason where it is. */
export interface TransactionCapabilities {
  /**
   * Two transactions can be open at once, and the store can be read meanwhile. `leftOut` only where the database
   * itself cannot: it has one writer, or one connection.
   */
  readonly concurrentTransactions: Capability
  /** A transaction can be rolled back in part. `leftOut` only where the database has no savepoints (MongoDB). */
  readonly savepoints: Capability
  /**
   * A transaction that needs what another open one is writing waits for it. Where the database tells conflicts
   * instead (MongoDB), another promise is checked: it is told `busy` at once, and succeeds when it is run again.
   */
  readonly waitsForWriters: Capability
  /** The harness can let a process die in the middle of a transaction. Left out if it is not named. */
  readonly crashes?: Capability
  /**
   * Old entries can be purged one by one, at most so many, and while a transaction that has enqueued is open. `leftOut`
   * only where they go in whole files at once. Present if it is not named.
   */
  readonly purgesSingly?: Capability
  /** `subscribe` wakes a relay. `leftOut` where a store has none, so that its relays poll. Present if it is not named. */
  readonly wakesUp?: Capability
  /**
   * A handler of `once` may wait for something. `leftOut` only where the driver is synchronous: `once` is over when it
   * returns. Present if it is not named.
   */
  readonly asynchronousHandlers?: Capability
}

/** What checks of transactions may need. */
export type TransactionNeeds = keyof TransactionCapabilities

/** The capabilities with a word on those that were not named. */
export function namedCapabilities(
  capabilities: TransactionCapabilities,
): Readonly<Record<TransactionNeeds, Capability>> {
  return {
    crashes: { leftOut: 'the harness has no crash()' },
    purgesSingly: true,
    wakesUp: true,
    asynchronousHandlers: true,
    ...capabilities,
  }
}

/** How a harness runs transactions. `Tx` is the handle that `enqueue` and `once` take. */
export interface OpenedTransactions<Tx> {
  /**
   * Runs `work` in a new transaction: commits when it returns, or its promise resolves; rolls back when it throws, or
   * its promise rejects. Resolves with what `work` gave, or rejects with what it threw, in both cases after the end.
   * Runs it once: no retry, whatever went wrong.
   *
   * With a synchronous driver `work` returns no promise, so `() => db.transaction(work)` in an async function will do.
   */
  transaction<T>(work: (tx: Tx) => Awaitable<T>): Promise<T>
  /**
   * The same for a savepoint inside `tx`; what `work` threw comes out again, and the outer transaction goes on.
   * Synchronous where the driver is. Only with the capability `savepoints`.
   */
  savepoint?<T>(tx: Tx, work: (tx: Tx) => Awaitable<T>): Awaitable<T>
  /**
   * Runs `work` in a transaction, and ends its connection in place of the commit, as when the process is killed: by
   * cutting the socket, or from the server's side. Resolves when the connection is gone; the database may notice later.
   * Only with the capability `crashes`.
   */
  crash?(work: (tx: Tx) => Awaitable<unknown>): Promise<void>
}
