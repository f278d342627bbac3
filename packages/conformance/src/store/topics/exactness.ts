import { expect } from 'vitest'
import { order } from '../../outbox/events.ts'
import { exactness as outboxExactness } from '../../outbox/topics/exactness.ts'
import type { StoreTopic } from '../store-check.ts'
import { startRelay } from '../test-relay.ts'

/** What is lent is a copy. */
export const exactness: StoreTopic = {
  ...outboxExactness,
  checks: [
    ...outboxExactness.checks,
    {
      id: 'exactness.copies',
      promise: 'what a relay changes in what it was lent changes nothing in the outbox',
      async run({ store, commit }) {
        const occurredAt = new Date('2025-01-01T00:00:00.000Z')
        await commit(order('a', { occurredAt }))
        const relay = await startRelay(store)
        const [lent] = await relay.fetch()
        lent?.occurredAt.setFullYear(1998)
        const [again] = await relay.fetch()
        expect(again?.occurredAt.toISOString()).toBe('2025-01-01T00:00:00.000Z')
      },
    },
  ],
}
