import type { InboxStore } from '@outbox/core'
import type { OpenedTransactions, TransactionCapabilities } from '../transactions.ts'

/**
 * What the suite needs to know of an inbox. `Tx` is the transaction handle that `once` takes.
 *
 * @example
 * ```ts
 * describeInbox('my inbox', {
 *   capabilities: { concurrentTransactions: true, savepoints: true, waitsForWriters: true },
 *   async open() {
 *     const database = await freshDatabase()
 *     const opened = (db: Database) => ({
 *       inbox: myInbox({ db }),
 *       transaction: (work) => db.transaction(work),
 *       savepoint: (tx, work) => tx.savepoint(work),
 *     })
 *     return {
 *       ...opened(database),
 *       peer: async () => opened(await database.connectAgain()),
 *       close: () => database.drop(),
 *     }
 *   },
 * })
 * ```
 */
export interface InboxHarness<Tx> {
  readonly capabilities: TransactionCapabilities
  /** A fresh, empty inbox, set up already. Called once per check. */
  open(): Promise<OpenedInbox<Tx>>
}

/** An inbox and the transactions of its database, as one process has them. */
export interface InboxProcess<Tx> extends OpenedTransactions<Tx> {
  readonly inbox: InboxStore<Tx>
}

/** One inbox, as a check sees it. No table beside it is needed: what a handler does is shown by further marks. */
export interface OpenedInbox<Tx> extends InboxProcess<Tx> {
  /** The same inbox as another process would have it: nothing is shared but the database. */
  peer(): Promise<InboxProcess<Tx>>
  /** Removes everything that `open` and `peer` made. */
  close(): Promise<void>
}
