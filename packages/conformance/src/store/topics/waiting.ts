import { setTimeout } from 'node:timers/promises'
import type { LeasedSource } from '@outbox/core'
import { expect } from 'vitest'
import { order, orders } from '../../outbox/events.ts'
import { sequencesOf, upTo } from '../../outbox/facts.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import { farFuture, postponed, published, refused, startRelay, takeOver } from '../test-relay.ts'

/** A retry makes its aggregate wait, on the database's clock. */
export const waiting: StoreTopic = {
  name: 'waiting',
  keeps: 'failure',
  checks: [
    {
      id: 'waiting.at-once',
      promise: 'an aggregate that waits 0 ms is due at once',
      async run({ store, commit }) {
        await commit(orders('a', 2))
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch()).slice(0, 1).map((entry) => refused(entry, 0)))
        expect(places(await relay.fetch())).toEqual(['a#1', 'a#2'])
      },
    },
    {
      id: 'waiting.alone',
      promise: 'an aggregate that waits keeps no other waiting',
      async run({ store, commit }) {
        await commit([...orders('a', 2), ...orders('b', 2)])
        const relay = await startRelay(store)
        const heads = (await relay.fetch()).filter(({ aggregateId, sequence }) => aggregateId === 'a' && sequence === 1)
        await relay.settle(heads.map((entry) => postponed(entry, farFuture)))
        expect(places(await relay.drain())).toEqual(['b#1', 'b#2'])
      },
    },
    {
      id: 'waiting.persisted',
      promise: 'the waiting outlives the relay and the process: the next holder waits too',
      async run({ store, commit, peer }) {
        await commit(order('a'))
        const one = await startRelay(store)
        await one.settle((await one.fetch()).map((entry) => refused(entry, farFuture)))
        const two = await takeOver(await peer(), one)
        expect(two.leases).toHaveLength(64)
        expect(await two.fetch()).toEqual([])
        expect((await store.stats()).pending).toBe(1)
      },
    },
    {
      id: 'waiting.ends-by-itself',
      promise: 'an aggregate is due once its time is over: not before, and without anybody doing anything',
      async run({ store, commit }) {
        await commit(orders('a', 2))
        const relay = await startRelay(store)
        const retryInMs = 300
        const before = performance.now()
        await relay.settle((await relay.fetch()).slice(0, 1).map((entry) => refused(entry, retryInMs)))
        await untilDue(store)
        // two clocks: the store's may tick in whole milliseconds
        expect(performance.now() - before).toBeGreaterThanOrEqual(retryInMs - 2)
        const batch = await relay.fetch()
        expect(places(batch)).toEqual(['a#1', 'a#2'])
        await relay.settle(batch.map(published))
        expect(await relay.fetch()).toEqual([])
      },
    },
    {
      id: 'waiting.large-backlog',
      promise: 'thousands of entries that have waited for the first of their aggregate are all lent, in order',
      async run({ store, commit }) {
        await commit(orders('a', 3000))
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch({ limit: 1 })).map((entry) => postponed(entry, 300)))
        await relay.fetch() // a store may put aside now what waits
        await commit(order('a'))
        await untilDue(store)
        expect(sequencesOf(await relay.drain(), 'a')).toEqual(upTo(3001))
      },
    },
    {
      id: 'waiting.long',
      promise: 'an aggregate may wait for months',
      async run({ store, commit }) {
        await commit(order('a'))
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch()).map((entry) => refused(entry, 180 * 24 * 3600 * 1000)))
        expect(await relay.fetch()).toEqual([])
      },
    },
    {
      id: 'waiting.fraction',
      promise: 'a time to wait that is no whole number of milliseconds will do',
      async run({ store, commit }) {
        await commit(order('a'))
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch()).map((entry) => refused(entry, 0.0625)))
        await relay.settle((await relay.fetch()).map((entry) => refused(entry, farFuture + 0.3)))
        expect((await store.stats()).pending).toBe(1)
      },
    },
    {
      id: 'waiting.over-when-published',
      promise: 'an aggregate that waited and was then published is open: new entries are due at once',
      async run({ store, commit }) {
        await commit(order('a'))
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch()).map((entry) => refused(entry)))
        await relay.drain()
        await commit(orders('a', 2))
        expect(places(await relay.fetch())).toEqual(['a#2', 'a#3'])
      },
    },
  ],
}

async function untilDue(store: LeasedSource): Promise<void> {
  while ((await store.poll({ holder: 'onlooker' })).duePartitions.length === 0) await setTimeout(5)
}
