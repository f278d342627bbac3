import { type DomainEvent, event, type LeasedSource } from '@outbox/core'

/** One change of one order: what the application writes into its own table, beside the event that tells of it. */
export interface Change {
  readonly eventId: string
  readonly orderId: string
}

/** A change as it was written: `revision` is the application's own count of the order's changes, from 1 on. */
export interface WrittenChange extends Change {
  readonly revision: number
}

/** The event that tells of a change. Its payload says all of it again, so that nothing can stand in for it unnoticed. */
export function eventOf({ eventId, orderId, revision }: WrittenChange): DomainEvent {
  return event('order.changed', { id: eventId, aggregateId: orderId, payload: { eventId, orderId, revision } })
}

/** Orders without changes, as rows: so many at a time as a statement can hold. */
export function batchesOfOrders(orderIds: readonly string[]): { id: string; changes: number }[][] {
  const rows = orderIds.map((id) => ({ id, changes: 0 }))
  return Array.from({ length: Math.ceil(rows.length / 1_000) }, (_, index) =>
    rows.slice(1_000 * index, 1_000 * (index + 1)),
  )
}

/** Thrown on purpose, inside the transaction, after everything was written. */
export class ChangedMind extends Error {}

/** The application of the demo, on one database. */
export interface DemoStore {
  readonly outbox: LeasedSource
  /** Creates the application's tables, the orders without changes, and the outbox. */
  setUp(orderIds: readonly string[]): Promise<void>
  /** Counts the order's change, writes it and its event, in one transaction; with `rollBack`, throws at its end. */
  change(change: Change, rollBack: boolean): Promise<void>
  /** how many changes are committed */
  count(): Promise<number>
  /** Every committed change: the truth that the audit holds the broker against. */
  committed(): Promise<readonly WrittenChange[]>
  close(): Promise<void>
}
