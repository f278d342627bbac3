import type { DeadLetterFilter } from '@outbox/core'
import fc from 'fast-check'
import { type Step, step } from '../step.ts'
import { far } from './far.ts'
import { uuid } from './producers.ts'
import { purging } from './purging.ts'

const filter: fc.Arbitrary<DeadLetterFilter> = fc.constantFrom(
  {},
  { eventType: 'order.changed' },
  { aggregateType: 'account' },
  { aggregateType: 'order', aggregateId: '1' },
  { eventType: 'no.such' },
)

export function listing(where: DeadLetterFilter): Step {
  return step('list', [where], (side) => side.store.deadLetters.list({ limit: far, where }), {
    compared: (letters) => letters.map(({ diedAt: _diedAt, ...letter }) => letter),
  })
}

export const deadLetters = fc.oneof(
  filter.map(listing),
  fc.array(uuid, { maxLength: 10 }).map((ids) => step('requeue', [ids], (side) => side.store.deadLetters.requeue(ids))),
  fc.array(uuid, { maxLength: 10 }).map((ids) => step('discard', [ids], (side) => side.store.deadLetters.discard(ids))),
  filter.map((where) => step('requeueAll', [where], (side) => side.store.deadLetters.requeueAll(where))),
  filter.map((where) => step('discardAll', [where], (side) => side.store.deadLetters.discardAll(where))),
)

export const markPublished = fc
  .array(uuid, { maxLength: 8 })
  .map((ids) => step('markPublished', [ids], (side) => side.store.markPublished(ids)))

export const looking: Step = step('fetchUnpublished', [], (side) => side.store.fetchUnpublished(far), {
  compared: (entries) => [...entries].sort((a, b) => (a.id < b.id ? -1 : 1)),
})

export const counting: Step = step('stats', [], (side) => side.store.stats(), {
  compared: ({ pending, dead, oldestPendingAgeMs, partitions }) => ({
    pending,
    dead,
    hasAge: oldestPendingAgeMs !== null,
    partitions: partitions.map(({ oldestPendingAgeMs: age, ...rest }) => ({ ...rest, hasAge: age !== null })),
  }),
})

export const upkeep = fc.oneof(fc.constant(looking), fc.boolean().map(purging), fc.constant(counting))
