import type { CallOptions, LeasedSource } from '@outbox/core'
import { expect } from 'vitest'
import { order } from '../../outbox/events.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import { dead, published, startRelay } from '../test-relay.ts'

/** A call that is aborted rejects with the signal's own reason. */
export const cancellation: StoreTopic = {
  name: 'cancellation',
  keeps: 'cancellation',
  checks: [
    {
      id: 'cancellation.before-the-call',
      promise: "a call with an aborted signal rejects with the signal's reason and changes nothing",
      async run({ store, commit }) {
        await commit([order('a'), order('b')])
        const relay = await startRelay(store)
        const [first, second] = await relay.fetch()
        if (!first || !second) throw new Error('two entries were due')
        await relay.settle([dead(first, 'skip')])
        const before = await state(store)
        const reason = new Error('no longer wanted')
        const options: CallOptions = { signal: AbortSignal.abort(reason) }
        const { holder, leases } = relay
        const calls: Record<string, () => Promise<unknown>> = {
          fetchUnpublished: () => store.fetchUnpublished(10, options),
          markPublished: () => store.markPublished([second.id], options),
          check: () => store.check(options),
          join: () => store.join({ holder: 'new', ...options }),
          poll: () => store.poll({ holder, ...options }),
          acquire: () => store.acquire({ holder, claims: [], evict: [{ holder, beat: 1 }], ...options }),
          release: () => store.release({ holder, leases, leave: true, ...options }),
          fetch: () => store.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: 1000, ...options }),
          settle: () => store.settle({ leases, settlements: [published(second)], ...options }),
          stats: () => store.stats(options),
          list: () => store.deadLetters.list({ limit: 10, ...options }),
          requeue: () => store.deadLetters.requeue([first.id], options),
          discard: () => store.deadLetters.discard([first.id], options),
          requeueAll: () => store.deadLetters.requeueAll({}, options),
          discardAll: () => store.deadLetters.discardAll({ aggregateType: 'order' }, options),
          purge: () => store.purge({ olderThanMs: 0, limit: 10, ...options }),
        }
        for (const [name, call] of Object.entries(calls)) {
          await expect(call(), name).rejects.toBe(reason)
        }
        expect(await state(store)).toEqual(before)
      },
    },
    {
      id: 'cancellation.during-the-call',
      promise:
        "a call whose signal aborts while it runs ends with the signal's reason or its result, and leaves the store working",
      async run({ store, commit }) {
        await commit(Array.from({ length: 200 }, (_, n) => order(`a-${n}`)))
        const relay = await startRelay(store)
        for (let round = 0; round < 20; round++) {
          const controller = new AbortController()
          const reason = new Error(`aborted in round ${round}`)
          const fetched = relay.fetch({ signal: controller.signal })
          const polled = store.poll({ holder: relay.holder, signal: controller.signal })
          if (round % 2 === 0) await Promise.resolve()
          controller.abort(reason)
          for (const outcome of await Promise.allSettled([fetched, polled])) {
            if (outcome.status === 'rejected') expect(outcome.reason).toBe(reason)
          }
        }
        expect(await relay.drain()).toHaveLength(200)
      },
    },
    {
      id: 'cancellation.after-the-call',
      promise: 'a signal that aborts after the call has ended changes nothing',
      async run({ store, commit }) {
        await commit(order('a'))
        const relay = await startRelay(store)
        const controller = new AbortController()
        const batch = await relay.fetch({ signal: controller.signal })
        controller.abort()
        expect(places(batch)).toEqual(['a#1'])
        expect(await relay.settle(batch.map(published))).toEqual([])
        expect(await relay.fetch()).toEqual([])
      },
    },
  ],
}

/** What the store holds, as far as it can be seen without changing anything. */
async function state(store: LeasedSource): Promise<unknown> {
  const { relays, leases, duePartitions } = await store.poll({ holder: 'onlooker' })
  const { pending, dead: deadCount } = await store.stats()
  return {
    relays,
    leases,
    duePartitions,
    pending,
    dead: deadCount,
    unpublished: await store.fetchUnpublished(100),
    letters: await store.deadLetters.list({ limit: 100 }),
  }
}
