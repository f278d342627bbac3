import { expect } from 'vitest'
import { order, orderIdPerPartition, orderIdsIn, orders } from '../../outbox/events.ts'
import { sequencesOf } from '../../outbox/facts.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import { dead, farFuture, refused, startRelay } from '../test-relay.ts'

/** No aggregate and no partition keeps the others out of a batch. */
export const fairness: StoreTopic = {
  name: 'fairness',
  keeps: 'fairness',
  checks: [
    {
      id: 'fairness.limit',
      promise: 'a batch is never longer than its limit, nor holds more of one aggregate than its limit per aggregate',
      async run({ store, commit }) {
        await commit(['a', 'b', 'c'].flatMap((id) => orders(id, 10)))
        const relay = await startRelay(store)
        expect(await relay.fetch({ limit: 7 })).toHaveLength(7)
        const batch = await relay.fetch({ limitPerAggregate: 4 })
        for (const id of ['a', 'b', 'c']) expect(sequencesOf(batch, id)).toEqual([1, 2, 3, 4])
      },
    },
    {
      id: 'fairness.hot-aggregate',
      promise: 'an aggregate with an old backlog does not keep younger aggregates of its partition out of the batch',
      async run({ store, commit }) {
        const [hot = '', ...others] = orderIdsIn(3, 6)
        await commit(orders(hot, 2000))
        for (const id of others) await commit(order(id))
        const batch = await (await startRelay(store)).fetch({ limit: 100, limitPerAggregate: 20 })
        expect(sequencesOf(batch, hot)).toHaveLength(20)
        for (const id of others) expect(sequencesOf(batch, id), id).toEqual([1])
      },
    },
    {
      id: 'fairness.hot-partition',
      promise: 'a partition with an old backlog does not keep younger partitions out of the batch',
      async run({ store, commit }) {
        const hot = orderIdsIn(5, 300)
        await commit(hot.map((id) => order(id)))
        const [other = ''] = orderIdsIn(6, 1)
        await commit(order(other))
        const batch = await (await startRelay(store)).fetch({ limit: 50, limitPerAggregate: 10 })
        expect(places(batch)).toContain(`${other}#1`)
        expect(batch.length).toBeGreaterThan(1)
      },
    },
    {
      id: 'fairness.every-partition',
      promise: 'small batches get round to all 64 partitions',
      async run({ store, commit }) {
        const ids = orderIdPerPartition()
        for (const id of ids) await commit(orders(id, 3))
        const relay = await startRelay(store)
        const lent = await relay.drain({ limit: 10, limitPerAggregate: 2 })
        for (const id of ids) expect(sequencesOf(lent, id), id).toEqual([1, 2, 3])
      },
    },
    {
      id: 'fairness.only-leased-partitions',
      promise: 'a relay is lent entries of the partitions that it holds, and no others',
      async run({ store, commit }) {
        const ids = orderIdPerPartition()
        await commit(ids.map((id) => order(id)))
        const one = await startRelay(store, { partitions: [0, 9, 63] })
        expect(places(await one.fetch())).toHaveLength(3)
        const two = await startRelay(store)
        const lent = await two.fetch()
        expect(lent).toHaveLength(61)
        for (const { lease } of lent) expect([0, 9, 63]).not.toContain(lease.partition)
      },
    },
    {
      id: 'fairness.blocked-backlog',
      promise: 'a blocked aggregate with an old backlog keeps nobody out, in its own partition neither',
      async run({ store, commit }) {
        const [blocked = '', other = ''] = orderIdsIn(11, 2)
        await commit(orders(blocked, 3000))
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch({ limit: 1 })).map((entry) => dead(entry, 'block')))
        await commit([order(other), order('elsewhere')])
        expect(places(await relay.fetch({ limit: 2 })).toSorted()).toEqual(['elsewhere#1', `${other}#1`].toSorted())
      },
    },
    {
      id: 'fairness.waiting-backlogs',
      promise: 'hundreds of waiting aggregates keep nobody out',
      async run({ store, commit }) {
        const [other = '', ...waiting] = orderIdsIn(12, 401)
        await commit(waiting.map((id) => order(id)))
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch()).map((entry) => refused(entry, farFuture)))
        await commit(order(other))
        expect(places(await relay.fetch({ limit: 1 }))).toEqual([`${other}#1`])
      },
    },
  ],
}
