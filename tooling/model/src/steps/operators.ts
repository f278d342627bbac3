import type { DeadLetterFilter } from '@outbox/core'
import fc from 'fast-check'
import { step } from '../step.ts'
import { uuid } from './producers.ts'

/** more than there ever is */
const far = 1_000

const filter: fc.Arbitrary<DeadLetterFilter> = fc.constantFrom(
  {},
  { eventType: 'order.changed' },
  { aggregateType: 'account' },
  { aggregateType: 'order', aggregateId: '1' },
  { eventType: 'no.such' },
)

export const deadLetters = fc.oneof(
  filter.map((where) =>
    step('list', [where], (side) => side.store.deadLetters.list({ limit: far, where }), {
      compared: (letters) => letters.map(({ diedAt: _diedAt, ...letter }) => letter),
    }),
  ),
  fc.array(uuid, { maxLength: 10 }).map((ids) => step('requeue', [ids], (side) => side.store.deadLetters.requeue(ids))),
  fc.array(uuid, { maxLength: 10 }).map((ids) => step('discard', [ids], (side) => side.store.deadLetters.discard(ids))),
  filter.map((where) => step('requeueAll', [where], (side) => side.store.deadLetters.requeueAll(where))),
  filter.map((where) => step('discardAll', [where], (side) => side.store.deadLetters.discardAll(where))),
)

export const markPublished = fc
  .array(uuid, { maxLength: 8 })
  .map((ids) => step('markPublished', [ids], (side) => side.store.markPublished(ids)))

export const upkeep = fc.oneof(
  fc.constant(0).map(() =>
    step('fetchUnpublished', [], (side) => side.store.fetchUnpublished(far), {
      compared: (entries) => [...entries].sort((a, b) => (a.id < b.id ? -1 : 1)),
    }),
  ),
  fc.constant(0).map(() => step('purge', [], (side) => side.store.purge({ olderThanMs: 0, limit: far }))),
  fc.constant(0).map(() =>
    step('stats', [], (side) => side.store.stats(), {
      compared: ({ pending, dead, oldestPendingAgeMs, partitions }) => ({
        pending,
        dead,
        hasAge: oldestPendingAgeMs !== null,
        partitions: partitions.map(({ oldestPendingAgeMs: age, ...rest }) => ({ ...rest, hasAge: age !== null })),
      }),
    }),
  ),
)
