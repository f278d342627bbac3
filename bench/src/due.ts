import { createHash } from 'node:crypto'
import type { DueEntry, JsonText } from '@outbox/core'
import type { Setting } from './contestant.ts'
import { aggregateOf, payloadOf } from './rows.ts'

/** The n-th entry as a store lends it to a relay. */
export function dueEntry(n: number, setting: Setting): DueEntry {
  const id = uuidOf(n)
  return {
    id,
    eventType: 'order.placed',
    aggregateType: 'order',
    aggregateId: aggregateOf(n, setting),
    sequence: Math.floor(n / setting.aggregates) + 1,
    occurredAt: new Date(1_700_000_000_000 + n),
    // as: made by JSON.stringify
    payload: JSON.stringify(payloadOf(n, setting)) as JsonText,
    headers: {},
    lease: { partition: (n % setting.aggregates) % 64, epoch: 1, holder: 'bench' },
    source: 'bench',
    attempt: 1,
    crashes: 0,
    deduplicationId: id,
    isLate: false,
  }
}

/** The same for the same number, so that runs are alike. */
function uuidOf(n: number): string {
  const hex = createHash('md5').update(String(n)).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
}

/** The fields that our publishers write of an entry, for those who write the same by hand. */
export function fieldsOf(entry: DueEntry): readonly (readonly [string, string])[] {
  return [
    ['id', entry.id],
    ['event-type', entry.eventType],
    ['aggregate-type', entry.aggregateType],
    ['aggregate-id', entry.aggregateId],
    ['sequence', String(entry.sequence)],
    ['epoch', String(entry.lease.epoch)],
    ['occurred-at', entry.occurredAt.toISOString()],
  ]
}

/** Splits by aggregate, so that parts can be worked on side by side and keep each aggregate's order. */
export function lanesOf(entries: readonly DueEntry[], lanes: number): readonly (readonly DueEntry[])[] {
  const parts: DueEntry[][] = Array.from({ length: lanes }, () => [])
  for (const entry of entries) parts[entry.lease.partition % lanes]?.push(entry)
  return parts
}

export function* pieces<T>(all: readonly T[], size: number): Generator<readonly T[]> {
  for (let from = 0; from < all.length; from += size) yield all.slice(from, from + size)
}
