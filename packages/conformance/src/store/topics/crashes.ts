import type { LeasedSource } from '@outbox/core'
import { expect } from 'vitest'
import { account, order, orderIdsIn, orders } from '../../outbox/events.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import { dead, farFuture, published, refused, startRelay, type TestRelay, takeOver } from '../test-relay.ts'

/** What a relay had in hand when it died is counted, and from the second time on lent alone. */
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
        expect(lent.map(({ aggregateId, crashes: count }) => [aggregateId, count])).toEqual([
          ['a', 1],
          ['a', 1],
          ['a', 1],
          ['b', 1],
          ['b', 1],
          ['c', 0],
        ])
      },
    },
    {
      id: 'crashes.alone',
      promise: 'each entry with two crashes is lent alone and before the others, however much else is due',
      async run({ store, commit }) {
        const [a = '', b = '', younger = ''] = orderIdsIn(30, 3)
        await commit([order(a), order(b)])
        const gone = await heirOfACrash(store)
        expect(await gone.fetch()).toHaveLength(2)
        await commit([order(a), order(younger), order('elsewhere')])
        const heir = await takeOver(store, gone)
        const first = await heir.fetch()
        expect(places(first)).toHaveLength(1)
        await heir.settle(first.map(published))
        const second = await heir.fetch()
        expect(second).toHaveLength(1)
        await heir.settle(second.map(published))
        expect(places([...first, ...second]).toSorted()).toEqual([`${a}#1`, `${b}#1`].toSorted())
        expect((await heir.fetch()).map(({ crashes: count }) => count)).toEqual([0, 0, 0])
      },
    },
    {
      id: 'crashes.told-on-grant',
      promise: 'a grant tells of entries with two crashes that are pending in the partition, until they are settled',
      async run({ store, commit }) {
        const [a = '', b = ''] = orderIdsIn(30, 2)
        await commit([order(a), order(b), order('elsewhere')])
        let relay = await heirOfACrash(store)
        await relay.fetch()
        relay = await takeOver(store, relay)
        expect(relay.suspected).toContain(30)
        // a release clears what is in hand, and no crash
        await store.release({ holder: relay.holder, leases: relay.leases, leave: true })
        relay = await startRelay(store)
        expect(relay.suspected).toContain(30)
        await relay.drain()
        await store.release({ holder: relay.holder, leases: relay.leases, leave: true })
        expect((await startRelay(store)).suspected).toEqual([])
      },
    },
    {
      id: 'crashes.none-told-on-grant',
      promise: 'a grant tells of no such entries where nothing in the partition has had a crash',
      async run({ store, commit }) {
        const [a = ''] = orderIdsIn(30, 1)
        const [b = ''] = orderIdsIn(31, 1)
        await commit([order(a), order(b)])
        let relay = await startRelay(store)
        expect(relay.suspected).toEqual([])
        for (let death = 0; death < 3; death++) {
          await store.fetch({
            leases: relay.leases.filter(({ partition }) => partition === 30),
            limit: 10,
            limitPerAggregate: 10,
            maxBytes: 1_000_000,
          })
          relay = await takeOver(store, relay)
        }
        expect(relay.suspected).toEqual([30])
      },
    },
    {
      id: 'crashes.older-than-the-crash',
      promise: 'an entry with two crashes that is not the head of its aggregate ends the prefix before it',
      async run({ store, commit }) {
        await commit([account('a', 5), account('a', 6)])
        let gone = await startRelay(store)
        expect(await gone.fetch({ limit: 1 })).toHaveLength(1)
        gone = await takeOver(store, gone)
        expect(await gone.fetch({ limit: 1 })).toHaveLength(1)
        await commit([account('a', 1), account('a', 2)])
        const heir = await takeOver(store, gone)
        expect(places(await heir.fetch())).toEqual(['a#1', 'a#2'])
        const lent = await heir.drain()
        expect(places(lent)).toEqual(['a#1', 'a#2', 'a#5', 'a#6'])
        expect(lent.map(({ crashes: count }) => count)).toEqual([0, 0, 2, 0])
      },
    },
    {
      id: 'crashes.behind-a-block',
      promise:
        'an entry with two crashes is not lent while a dead entry blocks its aggregate, and keeps no other waiting',
      async run({ store, commit }) {
        await commit([...orders('a', 2), order('b')])
        const heir = await heirOfTwoCrashes(store)
        const head = await heir.fetch()
        expect(places(head)).toEqual(['a#1'])
        await heir.settle(head.map((entry) => dead(entry, 'block')))
        expect(places(await heir.drain())).toEqual(['b#1'])
        expect((await store.poll({ holder: heir.holder })).duePartitions).toEqual([])
        await store.deadLetters.discard(head.map(({ id }) => id))
        expect(await heir.fetch()).toMatchObject([{ aggregateId: 'a', sequence: 2, crashes: 2 }])
      },
    },
    {
      id: 'crashes.behind-a-wait',
      promise: 'an entry with two crashes is not lent while its aggregate waits for an earlier entry',
      async run({ store, commit }) {
        await commit([...orders('a', 2), order('b')])
        const heir = await heirOfTwoCrashes(store)
        const head = await heir.fetch()
        expect(places(head)).toEqual(['a#1'])
        await heir.settle(head.map((entry) => refused(entry, farFuture)))
        expect(places(await heir.drain())).toEqual(['b#1'])
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

/** Whoever takes over from a relay that died with everything in hand. */
async function heirOfACrash(store: LeasedSource): Promise<TestRelay> {
  const gone = await startRelay(store)
  await gone.fetch()
  return takeOver(store, gone)
}

async function heirOfTwoCrashes(store: LeasedSource): Promise<TestRelay> {
  const gone = await heirOfACrash(store)
  await gone.fetch()
  return takeOver(store, gone)
}
