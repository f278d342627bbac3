import type { DueEntry, Lease, LeasedSource, Settlement } from '@outbox/core'
import { expect } from 'vitest'
import { order, orderIdsIn, orders } from '../../outbox/events.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import { dead, farFuture, published, refused, startRelay, takeOver } from '../test-relay.ts'

/** Once acquire has returned, no earlier lease of the partition changes anything. */
export const fencing: StoreTopic = {
  name: 'fencing',
  keeps: 'leases',
  checks: [
    {
      id: 'fencing.lease-on-entries',
      promise: 'a lent entry carries the lease that it was lent under and the name of its outbox',
      async run({ store, commit }) {
        await commit([order('a'), order('b')])
        const relay = await startRelay(store)
        const lent = await relay.fetch()
        expect(lent).toHaveLength(2)
        for (const { lease, source } of lent) {
          expect(source).toBe(relay.source)
          expect(relay.leases).toContainEqual(lease)
        }
      },
    },
    {
      id: 'fencing.fetch',
      promise: 'a lease that was lost, released, or never granted lends nothing',
      async run({ store, commit }) {
        await commit(orders('a', 3))
        const gone = await startRelay(store)
        const heir = await takeOver(store, gone)
        expect(await gone.fetch()).toEqual([])
        const forged = heir.leases.map((lease) => ({ ...lease, holder: 'somebody else' }))
        expect(await heir.fetch({ leases: forged })).toEqual([])
        const ahead = heir.leases.map((lease) => ({ ...lease, epoch: lease.epoch + 1 }))
        expect(await heir.fetch({ leases: ahead })).toEqual([])
        expect(await heir.fetch()).toHaveLength(3)
        await store.release({ holder: heir.holder, leases: heir.leases, leave: false })
        expect(await heir.fetch()).toEqual([])
      },
    },
    {
      id: 'fencing.settle-under-older-epoch',
      promise: 'what a zombie says of its entries after the take-over is answered as lost, and changes nothing',
      async run({ store, commit }) {
        await commit(orders('a', 2))
        const zombie = await startRelay(store)
        const [entry] = await zombie.fetch()
        const heir = await takeOver(store, zombie)
        for (const settlement of allOutcomes(entry)) await expectLostAndUnchanged(store, zombie.leases, settlement)
        expect(places(await heir.drain())).toEqual(['a#1', 'a#2'])
      },
    },
    {
      id: 'fencing.settle-under-other-holder',
      promise: 'the right epoch in the name of another holder settles nothing',
      async run({ store, commit }) {
        await commit(orders('a', 2))
        const relay = await startRelay(store)
        const [entry] = await relay.fetch()
        if (!entry) throw new Error('an entry was due')
        const leases = relay.leases.map((lease) => ({ ...lease, holder: 'somebody else' }))
        const forged = { ...entry, lease: { ...entry.lease, holder: 'somebody else' } }
        for (const settlement of allOutcomes(forged)) await expectLostAndUnchanged(store, leases, settlement)
      },
    },
    {
      id: 'fencing.settle-after-release',
      promise: 'a lease that was given back settles nothing, even if nobody has taken it',
      async run({ store, commit }) {
        await commit(orders('a', 2))
        const relay = await startRelay(store)
        const [entry] = await relay.fetch()
        await store.release({ holder: relay.holder, leases: relay.leases, leave: false })
        for (const settlement of allOutcomes(entry)) await expectLostAndUnchanged(store, relay.leases, settlement)
      },
    },
    {
      id: 'fencing.settle-under-own-older-epoch',
      promise: 'a lease that was given back settles nothing, though the same relay holds the partition again',
      async run({ store, commit }) {
        await commit(orders('a', 2))
        const relay = await startRelay(store)
        const { holder, leases } = relay
        const [entry] = await relay.fetch()
        await store.release({ holder, leases, leave: false })
        const claims = (await store.poll({ holder })).leases
        expect(await store.acquire({ holder, claims, evict: [] })).toHaveLength(64)
        for (const settlement of allOutcomes(entry)) await expectLostAndUnchanged(store, leases, settlement)
      },
    },
    {
      id: 'fencing.settle-by-the-evicted',
      promise:
        'an eviction alone takes no lease: until it is granted to another, its holder still settles or loses, never half',
      async run({ store, commit }) {
        await commit(orders('a', 1))
        const relay = await startRelay(store)
        const [entry] = await relay.fetch()
        await store.join({ holder: 'two' })
        const { relays } = await store.poll({ holder: 'two' })
        const evict = relays.filter(({ holder }) => holder === relay.holder)
        await store.acquire({ holder: 'two', claims: [], evict })
        const lost = await relay.settle(entry ? [published(entry)] : [])
        const { pending } = await store.stats()
        expect(lost.some(({ partition }) => partition === entry?.lease.partition)).toBe(pending === 1)
      },
    },
    {
      id: 'fencing.partial',
      promise: 'one lost lease does not void the others: its settlement changes nothing, theirs counts',
      async run({ store, commit }) {
        const [first = ''] = orderIdsIn(1, 1)
        const [second = ''] = orderIdsIn(2, 1)
        await commit([order(first), order(second)])
        const relay = await startRelay(store, { partitions: [1, 2] })
        const batch = await relay.fetch()
        await store.join({ holder: 'heir' })
        // partition 1 changes hands as in a hand-over that the relay has forgotten about
        const [lease] = relay.leases.filter(({ partition }) => partition === 1)
        if (!lease) throw new Error('partition 1 was free')
        await store.release({ holder: relay.holder, leases: [lease], leave: false })
        const granted = await store.acquire({ holder: 'heir', claims: [lease], evict: [] })
        expect(await relay.settle(batch.map(published))).toEqual([lease])
        expect(places(await store.fetchUnpublished(10))).toEqual([`${first}#1`])
        expect(places(await relay.fetch({ leases: granted }))).toEqual([`${first}#1`])
      },
    },
    {
      id: 'fencing.settle-under-another-partition',
      promise:
        'what is said of an entry under the lease of another partition changes nothing, though that lease stands',
      async run({ store, commit }) {
        const [first = ''] = orderIdsIn(1, 1)
        const [second = ''] = orderIdsIn(2, 1)
        await commit([order(first), order(second)])
        const relay = await startRelay(store, { partitions: [1, 2] })
        const [entry] = await relay.fetch({ leases: relay.leases.filter(({ partition }) => partition === 1) })
        const leases = relay.leases.filter(({ partition }) => partition === 2)
        const [lease] = leases
        if (!entry || !lease) throw new Error('both partitions were free, and had an entry each')
        for (const settlement of allOutcomes({ ...entry, lease })) {
          await expectUnchanged(store, leases, settlement, [])
          await expectUnchanged(store, relay.leases, settlement, [])
        }
      },
    },
    {
      id: 'fencing.race',
      promise: 'a settle that races with a take-over either counts before it, or is lost and changes nothing',
      async run({ store, commit, peer }) {
        const other = await peer()
        for (let round = 0; round < 20; round++) {
          await commit(order('a'))
          const holder = await startRelay(other)
          const batch = await holder.fetch()
          expect(batch).toHaveLength(1)
          const [lost, heir] = await Promise.all([holder.settle(batch.map(published)), takeOver(store, holder)])
          const isLost = lost.some(({ partition }) => partition === batch[0]?.lease.partition)
          expect(await heir.drain()).toHaveLength(isLost ? 1 : 0)
          await store.release({ holder: heir.holder, leases: heir.leases, leave: true })
        }
      },
    },
    {
      id: 'fencing.take-over-is-complete',
      promise: 'what a holder has settled before the take-over is not lent again after it',
      async run({ store, commit, peer }) {
        await commit(orders('a', 4))
        const gone = await startRelay(await peer())
        const [one, two] = await gone.fetch()
        if (!one || !two) throw new Error('two entries were due')
        await gone.settle([published(one), published(two)])
        const heir = await takeOver(store, gone)
        expect(places(await heir.fetch())).toEqual(['a#3', 'a#4'])
      },
    },
  ],
}

function allOutcomes(entry: DueEntry | undefined): readonly Settlement[] {
  if (!entry) throw new Error('an entry was due')
  return [published(entry), refused(entry, farFuture), dead(entry, 'skip'), dead(entry, 'block')]
}

function expectLostAndUnchanged(store: LeasedSource, leases: readonly Lease[], settlement: Settlement): Promise<void> {
  return expectUnchanged(store, leases, settlement, leases)
}

async function expectUnchanged(
  store: LeasedSource,
  leases: readonly Lease[],
  settlement: Settlement,
  expectedLost: readonly Lease[],
): Promise<void> {
  const before = await store.fetchUnpublished(100)
  const due = (await store.poll({ holder: 'onlooker' })).duePartitions
  const { lost } = await store.settle({ leases, settlements: [settlement] })
  expect(
    lost.toSorted((a, b) => a.partition - b.partition),
    settlement.outcome,
  ).toEqual(expectedLost)
  expect(await store.fetchUnpublished(100), settlement.outcome).toEqual(before)
  expect((await store.poll({ holder: 'onlooker' })).duePartitions, settlement.outcome).toEqual(due)
  expect(await store.deadLetters.list({ limit: 10 }), settlement.outcome).toEqual([])
}
