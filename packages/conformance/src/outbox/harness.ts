import type { Outbox, OutboxSource } from '@outbox/core'
import type { OpenedTransactions, TransactionCapabilities } from '../transactions.ts'

/** What the suite needs to know of an outbox with the three methods of the trait. `Tx` is what `enqueue` takes. */
export interface OutboxHarness<Tx> {
  readonly capabilities: TransactionCapabilities
  /** A fresh, empty outbox, set up already. Called once per check. */
  open(): Promise<OpenedOutbox<Tx>>
}

/** One outbox, as a check sees it. */
export interface OpenedOutbox<Tx> extends OpenedTransactions<Tx> {
  readonly outbox: Outbox<Tx>
  /**
   * The same outbox as another process would have it: nothing is shared but the database. Only the relay's half of it
   * is used.
   */
  peer(): Promise<OutboxSource>
  /** Removes everything that `open` and `peer` made. */
  close(): Promise<void>
}
