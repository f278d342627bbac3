import { type DueEntry, partitionOf } from '../src/index.ts'

/** An entry as a relay hands it to a publisher. */
export function dueEntry(given: Partial<DueEntry> = {}): DueEntry {
  const { aggregateType = 'order', aggregateId = 'o-1', id = '0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111' } = given
  return {
    id,
    eventType: `${aggregateType}.placed`,
    aggregateType,
    aggregateId,
    sequence: 1,
    occurredAt: new Date('2026-03-01T12:00:00.123Z'),
    payload: '{"totalCents":4200}',
    headers: {},
    lease: { partition: partitionOf(aggregateType, aggregateId), epoch: 5, holder: 'relay-1' },
    source: 'source-1',
    attempt: 1,
    crashes: 0,
    deduplicationId: id,
    isLate: false,
    ...given,
  }
}
