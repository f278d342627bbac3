import { expect } from 'vitest'
import { account, order, orderIdsIn, orders } from '../../outbox/events.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import {
  dead,
  farFuture,
  heirOfACrash,
  heirOfTwoCrashes,
  published,
  refused,
  startRelay,
  takeOver,
} from '../test-relay.ts'

/** What relays may have died of: two deaths with an entry in hand, and it is lent alone. */
export const suspects: StoreTopic = {
  name: 'suspects',
  keeps: 'failure',
  checks: [
    {
      id: 'suspects.alone',
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
      id: 'suspects.told-on-grant',
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
      id: 'suspects.none-told-on-grant',
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
      id: 'suspects.older-than-the-crash',
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
      id: 'suspects.behind-a-block',
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
      id: 'suspects.behind-a-wait',
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
  ],
}
