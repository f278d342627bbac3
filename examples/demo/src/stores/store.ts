import type { LeasedSource } from '@outbox/core'

/** One change of one order: what the application writes into its own table, beside the event that tells of it. */
export interface Change {
  readonly eventId: string
  readonly orderId: string
}

/** Thrown on purpose, inside the transaction, after everything was written. */
export class ChangedMind extends Error {}

/** The application of the demo, on one database. */
export interface DemoStore {
  readonly outbox: LeasedSource
  /** Creates the application's table and the outbox. */
  setUp(): Promise<void>
  /** Writes a change and its event in one transaction; with `rollBack`, throws at its end. */
  change(change: Change, rollBack: boolean): Promise<void>
  /** how many changes are committed */
  count(): Promise<number>
  /** Every committed change: the truth that the audit holds the broker against. */
  committed(): Promise<readonly Change[]>
  close(): Promise<void>
}
