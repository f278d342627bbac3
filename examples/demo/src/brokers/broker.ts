import type { Publisher } from '@outbox/core'

/** One message as it stands in the broker. */
export interface Delivery {
  readonly id: string
  readonly orderId: string
  readonly sequence: number
  readonly epoch: number
  /** parsed, and not looked at yet */
  readonly payload: unknown
  /** which relay process wrote it, where the broker keeps that */
  readonly relay?: string
}

/** Where the demo's events go, and how it reads them back. */
export interface DemoBroker {
  readonly publisher: Publisher
  /** all messages, in the broker's order */
  readBack(): Promise<readonly Delivery[]>
  /** Creates what the broker needs before the first message. */
  setUp(): Promise<void>
  /** Removes what the demo left there. */
  cleanUp(): Promise<void>
  close(): Promise<void>
}
