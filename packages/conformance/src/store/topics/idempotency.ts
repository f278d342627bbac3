import { expect } from 'vitest'
import { order } from '../../outbox/events.ts'
import { idempotency as outboxIdempotency } from '../../outbox/topics/idempotency.ts'
import type { StoreTopic } from '../store-check.ts'
import { dead, startRelay } from '../test-relay.ts'

/** Ids of entries that have ended. */
export const idempotency: StoreTopic = {
  ...outboxIdempotency,
  checks: [
    ...outboxIdempotency.checks,
    {
      id: 'idempotency.after-the-end',
      promise: 'an id is a duplicate while its entry is there: pending, published, dead or discarded',
      async run({ store, commit }) {
        const events = ['published', 'dead', 'discarded'].map((id) => order(id, { id: crypto.randomUUID() }))
        await commit(events)
        const relay = await startRelay(store)
        const entries = await relay.fetch()
        await relay.settle(
          entries.map((entry) =>
            entry.aggregateId === 'published' ? { entry, outcome: 'published' as const } : dead(entry, 'skip'),
          ),
        )
        await store.deadLetters.discard([events[2]?.id ?? ''])
        expect(await commit(events)).toMatchObject([{ duplicate: true }, { duplicate: true }, { duplicate: true }])
        expect(await store.stats()).toMatchObject({ pending: 0, dead: 1, oldestPendingAgeMs: null })
        expect(await relay.fetch()).toEqual([])
      },
    },
  ],
}
