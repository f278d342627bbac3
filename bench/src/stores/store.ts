import type { DomainEvent, LeasedSource } from '@outbox/core'

/** One of our stores as an application has it. */
export interface OpenStore {
  readonly outbox: LeasedSource
  /** Writes events in one transaction. */
  commit(events: readonly DomainEvent[]): Promise<unknown>
  /** entries that were not published */
  left(): Promise<number>
  close(): Promise<void>
}

export interface StoreModule {
  readonly title: string
  create(url: string): Promise<void>
  open(url: string): Promise<OpenStore>
}
