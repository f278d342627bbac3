import type { LeasedSource, OutboxStore } from '@outbox/core'
import type { OpenedTransactions, TransactionCapabilities } from '../transactions.ts'

/**
 * What the suite needs to know of a store. `Tx` is the transaction handle that `enqueue` takes.
 *
 * @example
 * ```ts
 * describeStore('my store', {
 *   capabilities: { concurrentTransactions: true, savepoints: true, waitsForWriters: true },
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
  readonly capabilities: TransactionCapabilities
  /** A fresh, empty outbox, set up already. Called once per check. */
  open(): Promise<OpenedStore<Tx>>
}

/** One outbox, as a check sees it. */
export interface OpenedStore<Tx> extends OpenedTransactions<Tx> {
  readonly store: OutboxStore<Tx>
  /**
   * Another store over the same outbox, as another process would have it: nothing is shared but the database. Only the
   * relay's half of it is used.
   */
  peer(): Promise<LeasedSource>
  /** Removes everything that `open` and `peer` made. */
  close(): Promise<void>
}
