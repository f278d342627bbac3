import { type DomainEvent, partitionOf } from '@outbox/core'

type Extras = Partial<Omit<DomainEvent, 'type' | 'aggregateId' | 'sequence'>>

/** An event of a type that the store numbers. */
export function order(aggregateId: string, extras: Extras = {}): DomainEvent {
  return { type: 'order.placed', aggregateId, payload: { aggregateId }, ...extras }
}

/** An event of a type that the caller numbers. */
export function account(aggregateId: string, sequence: number, extras: Extras = {}): DomainEvent {
  return { type: 'account.credited', aggregateId, sequence, payload: { sequence }, ...extras }
}

/** `count` orders of one aggregate. */
export function orders(aggregateId: string, count: number): DomainEvent[] {
  return Array.from({ length: count }, () => order(aggregateId))
}

/** `count` ids of orders that all fall into one partition. */
export function orderIdsIn(partition: number, count: number): string[] {
  const ids: string[] = []
  for (let n = 0; ids.length < count; n++) if (partitionOf('order', `order-${n}`) === partition) ids.push(`order-${n}`)
  return ids
}

/** An id of an order in each of the 64 partitions, by partition. */
export function orderIdPerPartition(): string[] {
  return Array.from({ length: 64 }, (_, partition) => orderIdsIn(partition, 1)[0] ?? '')
}
