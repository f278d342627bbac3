import { expect } from 'vitest'
import { order, orders } from '../../outbox/events.ts'
import { trait as outboxTrait } from '../../outbox/topics/trait.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import { dead, farFuture, refused, startRelay } from '../test-relay.ts'

/** What leases and dead letters make of the three methods, and the check at start. */
export const trait: StoreTopic = {
  ...outboxTrait,
  checks: [
    ...outboxTrait.checks,
    {
      id: 'trait.set-up',
      promise: 'check() passes on an outbox that is set up',
      keeps: 'set-up',
      async run({ store }) {
        await store.check()
      },
    },
    {
      id: 'trait.marked-is-not-lent',
      promise: 'what markPublished has marked is lent to no relay',
      async run({ store, commit }) {
        const [, second] = await commit(orders('a', 3))
        await store.markPublished([second?.id ?? ''])
        expect(places(await store.fetchUnpublished(10))).toEqual(['a#1', 'a#3'])
        expect(places(await (await startRelay(store)).fetch())).toEqual(['a#1', 'a#3'])
      },
    },
    {
      id: 'trait.mark-published-spares-the-dead',
      promise: 'markPublished changes nothing for dead ids',
      async run({ store, commit }) {
        await commit([order('a'), order('b'), order('c')])
        const relay = await startRelay(store)
        const [a, b] = await relay.fetch()
        if (!a || !b) throw new Error('two entries were due')
        await relay.settle([dead(a, 'skip')])
        await store.markPublished([])
        await store.markPublished([a.id, b.id, b.id, crypto.randomUUID()])
        await store.markPublished([b.id])
        expect(places(await store.fetchUnpublished(10))).toEqual(['c#1'])
        expect((await store.deadLetters.list({ limit: 10 })).map(({ entry }) => entry.id)).toEqual([a.id])
      },
    },
    {
      id: 'trait.neither-published-nor-dead',
      promise: 'fetchUnpublished leaves out what is dead or discarded, not what waits or is blocked',
      async run({ store, commit }) {
        await commit([order('dead'), order('dead'), order('gone'), order('waits'), order('open')])
        const relay = await startRelay(store)
        const entries = await relay.fetch()
        const head = (id: string) => {
          const entry = entries.find(({ aggregateId }) => aggregateId === id)
          if (!entry) throw new Error(`${id} was not lent`)
          return entry
        }
        await relay.settle([dead(head('dead'), 'block'), dead(head('gone'), 'skip'), refused(head('waits'), farFuture)])
        await store.deadLetters.discard([head('gone').id])
        expect(places(await store.fetchUnpublished(10)).toSorted()).toEqual(['dead#2', 'open#1', 'waits#1'])
      },
    },
  ],
}
