import { expect } from 'vitest'
import { order, orderIdsIn, orders } from '../../outbox/events.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import { dead, heirOfACrash, heirOfTwoCrashes, published, refused, startRelay, takeOver } from '../test-relay.ts'

/** What a relay had in hand when it died is counted, until something is known of it. */
export const crashes: StoreTopic = {
  name: 'crashes',
  keeps: 'failure',
  checks: [
    {
      id: 'crashes.counted-on-take-over',
      promise: 'entries in hand when their relay was evicted have one crash more, and no attempt more',
      async run({ store, commit, peer }) {
        await commit(order('a'))
        let relay = await startRelay(await peer())
        for (const count of [0, 1, 2, 3]) {
          expect(await relay.fetch()).toMatchObject([{ aggregateId: 'a', crashes: count, attempt: 1 }])
          relay = await takeOver(store, relay)
        }
      },
    },
    {
      id: 'crashes.only-what-was-lent',
      promise: 'entries that nobody had in hand have no crash',
      async run({ store, commit }) {
        await commit(orders('a', 3))
        const gone = await startRelay(store)
        await gone.fetch({ limit: 1 })
        const heir = await takeOver(store, gone)
        const lent = await heir.drain()
        expect(lent.map(({ sequence, crashes: count }) => [sequence, count])).toEqual([
          [1, 1],
          [2, 0],
          [3, 0],
        ])
      },
    },
    {
      id: 'crashes.only-the-last-fetch',
      promise: 'what a fetch lends takes the place of what was lent before: only the last batch was in hand',
      async run({ store, commit }) {
        await commit(orders('a', 3))
        const gone = await startRelay(store)
        await gone.fetch() // its answer may have been lost
        await gone.fetch({ limit: 1 })
        const heir = await takeOver(store, gone)
        expect((await heir.fetch()).map(({ sequence, crashes: count }) => [sequence, count])).toEqual([
          [1, 1],
          [2, 0],
          [3, 0],
        ])
      },
    },
    {
      id: 'crashes.not-without-fetch',
      promise: 'a relay that died with nothing in hand leaves no crash',
      async run({ store, commit }) {
        await commit(orders('a', 2))
        const gone = await startRelay(store)
        const heir = await takeOver(store, gone)
        expect((await heir.fetch()).map(({ crashes: count }) => count)).toEqual([0, 0])
      },
    },
    {
      id: 'crashes.not-after-release',
      promise: 'entries lent under a lease that was given back have no crash',
      async run({ store, commit }) {
        await commit(orders('a', 2))
        const one = await startRelay(store)
        await one.fetch()
        await store.release({ holder: one.holder, leases: one.leases, leave: true })
        const two = await startRelay(store)
        expect((await two.fetch()).map(({ crashes: count }) => count)).toEqual([0, 0])
      },
    },
    {
      id: 'crashes.leaving-in-the-middle',
      promise: 'who leaves without giving a lease back leaves what was in hand as a crash',
      async run({ store, commit }) {
        await commit(order('a'))
        const one = await startRelay(store)
        await one.fetch()
        await store.release({ holder: one.holder, leases: [], leave: true })
        const two = await startRelay(store)
        expect(await two.fetch()).toMatchObject([{ crashes: 1 }])
      },
    },
    {
      id: 'crashes.not-after-settle',
      promise: 'after a settle nothing is in hand: neither what was settled nor what was left out',
      async run({ store, commit }) {
        await commit(orders('a', 4))
        const gone = await startRelay(store)
        const [one, two] = await gone.fetch()
        if (!one || !two) throw new Error('two entries were due')
        await gone.settle([published(one), refused(two)])
        const heir = await takeOver(store, gone)
        expect((await heir.fetch()).map(({ sequence, crashes: count }) => [sequence, count])).toEqual([
          [2, 0],
          [3, 0],
          [4, 0],
        ])
      },
    },
    {
      id: 'crashes.not-after-empty-settle',
      promise: 'a settle without settlements clears the notes alone: no crash is counted, and all is due as before',
      async run({ store, commit }) {
        await commit([...orders('a', 2), order('b')])
        const gone = await startRelay(store)
        const lent = await gone.fetch()
        expect(await gone.settle([])).toEqual([])
        expect(await gone.fetch()).toEqual(lent)
        await gone.settle([])
        const heir = await takeOver(store, gone)
        expect((await heir.fetch()).map(({ crashes: count, attempt }) => [count, attempt])).toEqual([
          [0, 1],
          [0, 1],
          [0, 1],
        ])
      },
    },
    {
      id: 'crashes.in-company',
      promise: 'one crash changes nothing: entries are lent as before, and beside others',
      async run({ store, commit }) {
        await commit([...orders('a', 3), ...orders('b', 2)])
        const heir = await heirOfACrash(store)
        await commit(order('c'))
        const lent = await heir.fetch()
        // the aggregates stand in partitions of their own: nothing is promised of their order among each other
        const crashesOf = (id: string) =>
          lent.filter(({ aggregateId }) => aggregateId === id).map(({ sequence, crashes: count }) => [sequence, count])
        expect(lent).toHaveLength(6)
        expect(crashesOf('a')).toEqual([
          [1, 1],
          [2, 1],
          [3, 1],
        ])
        expect(crashesOf('b')).toEqual([
          [1, 1],
          [2, 1],
        ])
        expect(crashesOf('c')).toEqual([[1, 0]])
      },
    },
    {
      id: 'crashes.reset-by-retry',
      promise: 'a known outcome clears the crashes: after a retry the entry is lent among others again',
      async run({ store, commit }) {
        await commit([order('a'), order('b')])
        const heir = await heirOfTwoCrashes(store)
        for (let n = 0; n < 2; n++) await heir.settle((await heir.fetch()).map((entry) => refused(entry)))
        const lent = await heir.fetch()
        expect(lent.map(({ crashes: count, attempt }) => [count, attempt])).toEqual([
          [0, 2],
          [0, 2],
        ])
      },
    },
    {
      id: 'crashes.reset-by-death',
      promise: 'an entry that died after crashes has none when it is requeued',
      async run({ store, commit }) {
        await commit(order('a'))
        const gone = await startRelay(store)
        await gone.fetch()
        const heir = await takeOver(store, gone)
        const batch = await heir.fetch()
        expect(batch).toMatchObject([{ crashes: 1 }])
        await heir.settle(batch.map((entry) => dead(entry, 'skip', 'crash')))
        expect(await store.deadLetters.requeue(batch.map(({ id }) => id))).toBe(1)
        expect(await heir.fetch()).toMatchObject([{ crashes: 0, attempt: 1 }])
      },
    },
    {
      id: 'crashes.lanes',
      promise: 'a fetch or a settle under some leases leaves what is in hand under others as it is',
      async run({ store, commit }) {
        const ids = [40, 41, 42].flatMap((partition) => orderIdsIn(partition, 1))
        await commit(ids.map((id) => order(id)))
        const gone = await startRelay(store)
        const lane = (partition: number) => gone.leases.filter((lease) => lease.partition === partition)
        for (const partition of [40, 41, 42]) {
          expect(await gone.fetch({ leases: lane(partition) })).toHaveLength(1)
        }
        await store.settle({ leases: lane(41), settlements: [] })
        const lent = await (await takeOver(store, gone)).drain()
        const counts = Object.fromEntries(lent.map(({ lease, crashes: count }) => [lease.partition, count]))
        expect(counts).toEqual({ 40: 1, 41: 0, 42: 1 })
      },
    },
    {
      id: 'crashes.kept-without-outcome',
      promise: 'a settle that says nothing of an entry leaves its crashes as they were',
      async run({ store, commit }) {
        await commit(order('a'))
        const gone = await startRelay(store)
        await gone.fetch()
        const heir = await takeOver(store, gone)
        expect(await heir.fetch()).toMatchObject([{ crashes: 1 }])
        await heir.settle([])
        expect(await heir.fetch()).toMatchObject([{ crashes: 1 }])
      },
    },
    {
      id: 'crashes.not-of-the-published',
      promise: 'an entry in hand that was published all the same does not come back',
      async run({ store, commit }) {
        const [first] = await commit(orders('a', 2))
        const gone = await startRelay(store)
        await gone.fetch()
        await store.markPublished([first?.id ?? ''])
        const heir = await takeOver(store, gone)
        expect(places(await heir.drain())).toEqual(['a#2'])
      },
    },
    {
      id: 'crashes.zombie-clears-no-notes',
      promise: 'a settle under a lost lease does not clear what the new holder has in hand',
      async run({ store, commit }) {
        await commit(order('a'))
        const zombie = await startRelay(store)
        const batch = await zombie.fetch()
        const second = await takeOver(store, zombie)
        await second.fetch()
        await zombie.settle(batch.map(published))
        const third = await takeOver(store, second)
        expect(await third.fetch()).toMatchObject([{ crashes: 2 }])
      },
    },
  ],
}
