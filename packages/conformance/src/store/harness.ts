import type { Awaitable, LeasedSource, OutboxStore } from '@outbox/core'
import type { Capability } from '../capability.ts'

/**
 * What the suite needs to know of a store. `Tx` is the transaction handle that `enqueue` takes.
 *
 * @example
 * ```ts
 * describeStore('my store', {
 *   capabilities: { concurrentTransactions: true },
 *   async open() {
 *     const database = await freshDatabase()
 *     return {
 *       store: myOutbox({ database }),
 *       transaction: (work) => database.transaction(work),
 *       savepoint: (tx, work) => tx.savepoint(work),
 *       peer: async () => myOutbox({ database: await database.connectAgain() }),
 *       close: () => database.drop(),
 *     }
 *   },
 * })
 * ```
 */
export interface StoreHarness<Tx> {
  readonly capabilities: StoreCapabilities
  /** A fresh, empty outbox, set up already. Called once per check. */
  open(): Promise<OpenedStore<Tx>>
}

export interface StoreCapabilities {
  /**
   * Two transactions can be open at once, and the store can be read meanwhile. `leftOut` only where the database
   * itself cannot: it has one writer, or one connection.
   */
  readonly concurrentTransactions: Capability
}

/** One outbox, as a check sees it. */
export interface OpenedStore<Tx> {
  readonly store: OutboxStore<Tx>
  /**
   * Runs `work` in a new transaction: commits when it returns, or its promise resolves; rolls back when it throws, or
   * its promise rejects. Resolves with what `work` gave, or rejects with what it threw, in both cases after the end.
   *
   * With a synchronous driver `work` returns no promise, so `() => db.transaction(work)` in an async function will do.
   */
  transaction<T>(work: (tx: Tx) => Awaitable<T>): Promise<T>
  /**
   * The same for a savepoint inside `tx`; what `work` threw comes out again, and the outer transaction goes on.
   * Synchronous where the driver is.
   */
  savepoint<T>(tx: Tx, work: (tx: Tx) => Awaitable<T>): Awaitable<T>
  /** Another store over the same outbox, as another process would have it: nothing is shared but the database. Only the
   * relay's half of it is used. */
  peer(): Promise<LeasedSource>
  /** Removes everything that `open` and `peer` made. */
  close(): Promise<void>
}
