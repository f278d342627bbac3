import { expect } from 'vitest'
import { order, orders } from '../../outbox/events.ts'
import { sequencesOf, upTo } from '../../outbox/facts.ts'
import { places } from '../../places.ts'
import type { StoreCheck } from '../store-check.ts'
import { dead, farFuture, refused, startRelay } from '../test-relay.ts'

/** What requeue and discard do to an aggregate that is blocked, or waits. */
export const blocking: readonly StoreCheck[] = [
  {
    id: 'dead-letters.requeue-wakes-the-aggregate',
    promise: 'a requeue makes its aggregate due at once, even if it waits for another entry',
    async run({ store, commit }) {
      await commit(orders('a', 2))
      const relay = await startRelay(store)
      const [first] = await relay.fetch()
      if (!first) throw new Error('an entry was due')
      await relay.settle([dead(first, 'skip')])
      const rest = await relay.fetch()
      expect(places(rest)).toEqual(['a#2'])
      await relay.settle(rest.map((entry) => refused(entry, farFuture)))
      expect(await relay.fetch()).toEqual([])
      await store.deadLetters.requeue([first.id])
      expect(places(await relay.fetch())).toEqual(['a#1', 'a#2'])
    },
  },
  {
    id: 'dead-letters.discard-ends-only-its-own-block',
    promise: 'discarding a letter that was skipped ends no waiting and no block of its aggregate',
    async run({ store, commit }) {
      await commit([...orders('blocked', 3), ...orders('waits', 3)])
      const relay = await startRelay(store)
      const heads = (await relay.fetch()).filter(({ sequence }) => sequence === 1)
      await relay.settle(heads.map((entry) => dead(entry, 'skip')))
      const next = (await relay.fetch()).filter(({ sequence }) => sequence === 2)
      expect(places(next).toSorted()).toEqual(['blocked#2', 'waits#2'])
      await relay.settle(
        next.map((entry) => (entry.aggregateId === 'blocked' ? dead(entry, 'block') : refused(entry, farFuture))),
      )
      expect(await store.deadLetters.discard(heads.map(({ id }) => id))).toBe(2)
      expect(await relay.fetch()).toEqual([])
    },
  },
  {
    id: 'dead-letters.requeue-ends-only-its-own-block',
    promise: 'requeueing a letter makes nothing due of an aggregate that another letter blocks',
    async run({ store, commit }) {
      await commit(orders('a', 4))
      const relay = await startRelay(store)
      const [first, second] = await relay.fetch()
      if (!first || !second) throw new Error('two entries were due')
      await relay.settle([dead(first, 'skip')])
      await relay.settle([dead(second, 'block')])
      expect(await store.deadLetters.requeue([first.id])).toBe(1)
      expect((await store.poll({ holder: relay.holder })).duePartitions).toEqual([])
      expect(await relay.fetch()).toEqual([])
      expect(await store.deadLetters.requeue([second.id])).toBe(1)
      expect(places(await relay.drain({ limit: 2 }))).toEqual(['a#1', 'a#2', 'a#3', 'a#4'])
    },
  },
  {
    id: 'dead-letters.large-backlog',
    promise: 'thousands of entries that a letter has blocked are all lent, in order, once it is requeued or discarded',
    async run({ store, commit }) {
      await commit(orders('requeued', 3000))
      await commit(orders('discarded', 3000))
      const relay = await startRelay(store)
      const heads = await relay.fetch({ limitPerAggregate: 1 })
      expect(places(heads).toSorted()).toEqual(['discarded#1', 'requeued#1'])
      await relay.settle(heads.map((entry) => dead(entry, 'block')))
      expect(await relay.fetch()).toEqual([]) // a store may put aside now what is blocked
      await commit([order('requeued'), order('discarded')])
      const idsOf = (id: string) => heads.filter(({ aggregateId }) => aggregateId === id).map((entry) => entry.id)
      await store.deadLetters.requeue(idsOf('requeued'))
      await store.deadLetters.discard(idsOf('discarded'))
      const lent = await relay.drain()
      expect(sequencesOf(lent, 'requeued')).toEqual(upTo(3001))
      expect(sequencesOf(lent, 'discarded')).toEqual(upTo(3001).slice(1))
    },
  },
]
