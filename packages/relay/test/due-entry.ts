import { type DueEntry, partitionOf } from '@outbox/core'

/** An entry as a store lends it, for what is tested without a store. */
export function dueEntry(given: Partial<DueEntry> = {}): DueEntry {
  const { aggregateType = 'order', aggregateId = 'a', sequence = 1 } = given
  const id = given.id ?? `${aggregateType} ${aggregateId} ${sequence}`
  return {
    id,
    eventType: `${aggregateType}.placed`,
    aggregateType,
    aggregateId,
    sequence,
    occurredAt: new Date(0),
    payload: '{}',
    headers: {},
    lease: { partition: partitionOf(aggregateType, aggregateId), epoch: 1, holder: 'relay-1' },
    source: 'test',
    attempt: 1,
    crashes: 0,
    deduplicationId: id,
    isLate: false,
    ...given,
  }
}
