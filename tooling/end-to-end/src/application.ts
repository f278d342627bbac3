import type { DomainEvent, LeasedSource, Receipt } from '@outbox/core'

/** connections of a process to its server */
export const poolSize = 6

/** An application on one database, as one process has it: a table of its own, and an outbox. */
export interface Application extends AsyncDisposable {
  readonly outbox: LeasedSource
  /** Writes events in one transaction, each with a row of the application's own. */
  commit(...events: readonly DomainEvent[]): Promise<readonly Receipt[]>
  /**
   * The same, and calls `beforeEnd` when all is written; what it throws rolls the transaction back. It is synchronous,
   * because on some drivers a transaction is.
   */
  write(events: readonly DomainEvent[], beforeEnd: () => void): Promise<readonly Receipt[]>
  /** ids of the events that the application has committed, from its own table */
  committed(): Promise<readonly string[]>
  /** every entry of the outbox: its id, and when it ended, as the database writes that */
  endings(): Promise<readonly string[]>
}
