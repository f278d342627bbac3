import type { Lease, LeaseClaim } from '@outbox/core'
import { expect } from 'vitest'
import { order, orderIdsIn } from '../../outbox/events.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import { allPartitions, dead, farFuture, leaseOf, refused, startRelay, takeOver } from '../test-relay.ts'

/** Membership, and who holds which of the 64 partitions. */
export const leases: StoreTopic = {
  name: 'leases',
  keeps: 'leases',
  checks: [
    {
      id: 'leases.source',
      promise: 'every relay learns the same name of the outbox, whichever process it joins from, first or later',
      async run({ store, peer }) {
        const other = await peer()
        const sources = await Promise.all(
          [store, other, store].map((each) => each.join({ holder: crypto.randomUUID() })),
        )
        const [{ source } = { source: '' }] = sources
        expect(source).not.toBe('')
        for (const each of sources) expect(each).toEqual({ source })
        expect(await other.join({ holder: crypto.randomUUID() })).toEqual({ source })
      },
    },
    {
      id: 'leases.join-again',
      promise: 'a join that is sent again, because its answer was lost, changes nothing',
      async run({ store }) {
        const { source } = await store.join({ holder: 'one' })
        const { leases } = await store.poll({ holder: 'one' })
        await store.acquire({ holder: 'one', claims: leases, evict: [] })
        const before = await store.poll({ holder: 'one' })
        expect(await store.join({ holder: 'one' })).toEqual({ source })
        const after = await store.poll({ holder: 'one' })
        expect(after.leases).toEqual(before.leases)
        expect(after.relays.map(({ holder }) => holder)).toEqual(['one'])
        expect(after.relays[0]?.beat).toBeGreaterThan(before.relays[0]?.beat ?? Number.NaN)
      },
    },
    {
      id: 'leases.poll',
      promise: 'a poll shows all members and all 64 leases, free at first, to every process',
      async run({ store, peer }) {
        const other = await peer()
        await store.join({ holder: 'one' })
        await other.join({ holder: 'two' })
        const poll = await other.poll({ holder: 'two' })
        expect(poll.isMember).toBe(true)
        expect(poll.relays.map(({ holder }) => holder).toSorted()).toEqual(['one', 'two'])
        expect(poll.leases.map(({ partition }) => partition).toSorted((a, b) => a - b)).toEqual(allPartitions)
        for (const { holder } of poll.leases) expect(holder).toBeNull()
        expect(poll.duePartitions).toEqual([])
      },
    },
    {
      id: 'leases.beat',
      promise: "each poll raises the caller's beat, and nobody else's",
      async run({ store }) {
        await store.join({ holder: 'one' })
        await store.join({ holder: 'two' })
        const beat = async (polling: string, of: string): Promise<number> => {
          const { relays } = await store.poll({ holder: polling })
          return relays.find(({ holder }) => holder === of)?.beat ?? Number.NaN
        }
        const before = await beat('two', 'one')
        expect(await beat('two', 'one')).toBe(before)
        expect(await beat('one', 'one')).toBeGreaterThan(before)
        const raised = await beat('two', 'one')
        await beat('one', 'one')
        expect(await beat('two', 'one')).toBeGreaterThan(raised)
      },
    },
    {
      id: 'leases.stranger',
      promise: 'who has not joined is told so, and is granted nothing',
      async run({ store }) {
        await store.join({ holder: 'member' })
        const poll = await store.poll({ holder: 'stranger' })
        expect(poll.isMember).toBe(false)
        expect(poll.relays.map(({ holder }) => holder)).toEqual(['member'])
        expect(await store.acquire({ holder: 'stranger', claims: poll.leases, evict: [] })).toEqual([])
      },
    },
    {
      id: 'leases.grant',
      promise: 'a free lease is granted to the claimant, its epoch raised, and every process sees it',
      async run({ store, peer }) {
        await store.join({ holder: 'one' })
        const { leases: free } = await store.poll({ holder: 'one' })
        const claims = free.filter(({ partition }) => [63, 4, 17].includes(partition)).toReversed()
        const granted = await store.acquire({ holder: 'one', claims, evict: [] })
        expect(granted.map(({ partition }) => partition)).toEqual([4, 17, 63])
        for (const lease of granted) {
          expect(lease.holder).toBe('one')
          expect(lease.epoch).toBeGreaterThan(free.find(({ partition }) => partition === lease.partition)?.epoch ?? -1)
        }
        const seen = (await (await peer()).poll({ holder: 'one' })).leases.filter(({ holder }) => holder !== null)
        expect(seen.toSorted((a, b) => a.partition - b.partition)).toEqual(granted.map(leaseOf))
      },
    },
    {
      id: 'leases.held',
      promise: 'a lease that a member holds is granted to nobody else, at its right epoch neither',
      async run({ store }) {
        const one = await startRelay(store)
        expect(one.leases).toHaveLength(64)
        const two = await startRelay(store)
        expect(two.leases).toEqual([])
        expect(await standing(store)).toEqual(one.leases)
      },
    },
    {
      id: 'leases.epoch-must-stand',
      promise: 'a claim with an epoch that no longer stands is refused, the other claims of the call are not',
      async run({ store }) {
        const one = await startRelay(store, { partitions: [1] })
        await store.release({ holder: one.holder, leases: one.leases, leave: false })
        await store.join({ holder: 'two' })
        const stale: LeaseClaim = { partition: 1, epoch: (one.leases[0]?.epoch ?? 0) - 1 }
        const future: LeaseClaim = { partition: 2, epoch: 99 }
        const { leases: free } = await store.poll({ holder: 'two' })
        const right = free.filter(({ partition }) => partition === 3)
        const granted = await store.acquire({ holder: 'two', claims: [stale, future, ...right], evict: [] })
        expect(granted.map(({ partition }) => partition)).toEqual([3])
      },
    },
    {
      id: 'leases.every-grant-raises',
      promise: 'grant after grant, the epoch of a partition only ever rises',
      async run({ store }) {
        let before = -1
        for (let round = 0; round < 5; round++) {
          const relay = await startRelay(store, { partitions: [20] })
          const epoch = relay.leases[0]?.epoch ?? Number.NaN
          expect(epoch).toBeGreaterThan(before)
          before = epoch
          await store.release({ holder: relay.holder, leases: relay.leases, leave: round % 2 === 0 })
        }
      },
    },
    {
      id: 'leases.above',
      promise: 'a grant goes above the epoch that the broker has seen, when the claim names one',
      async run({ store }) {
        await store.join({ holder: 'one' })
        const { leases: free } = await store.poll({ holder: 'one' })
        const claims = free.slice(0, 3).map((lease, index) => ({ ...lease, above: [5000, 0, 2 ** 40][index] ?? 0 }))
        const granted = await store.acquire({ holder: 'one', claims, evict: [] })
        const [first, second, third] = granted
        expect(first?.epoch).toBeGreaterThan(5000)
        expect(second?.epoch).toBeGreaterThan(free[1]?.epoch ?? -1)
        expect(third?.epoch).toBeGreaterThan(2 ** 40)
        expect(await standing(store)).toEqual(granted.map(leaseOf))
      },
    },
    {
      id: 'leases.contended',
      promise: 'of many relays that claim the same leases at once, each lease goes to exactly one',
      async run({ store, peer }) {
        const stores = [store, await peer(), await peer()]
        const holders = Array.from({ length: 9 }, (_, n) => `relay-${n}`)
        for (const holder of holders) await store.join({ holder })
        const { leases: free } = await store.poll({ holder: 'relay-0' })
        const granted = await Promise.all(
          holders.map((holder, n) => (stores[n % 3] ?? store).acquire({ holder, claims: free, evict: [] })),
        )
        const all = granted.flat().toSorted((a, b) => a.partition - b.partition)
        expect(all.map(({ partition }) => partition)).toEqual(allPartitions)
        expect(await standing(store)).toEqual(all.map(leaseOf))
      },
    },
    {
      id: 'leases.evict',
      promise: 'a relay whose beat stood still is evicted, is told so, and its leases are granted to the claimant',
      async run({ store, peer }) {
        const gone = await startRelay(await peer(), { partitions: [1, 2] })
        const heir = await takeOver(store, gone)
        expect(heir.leases.map(({ partition }) => partition)).toEqual([1, 2])
        expect((await store.poll({ holder: gone.holder })).isMember).toBe(false)
        expect(await standing(store)).toEqual(heir.leases)
      },
    },
    {
      id: 'leases.evict-only-a-still-beat',
      promise: 'a relay that polled since its beat was seen stays a member and keeps its leases',
      async run({ store }) {
        const alive = await startRelay(store, { partitions: [1] })
        await store.join({ holder: 'two' })
        const { relays, leases: seen } = await store.poll({ holder: 'two' })
        await store.poll({ holder: alive.holder })
        const evict = relays.filter(({ holder }) => holder === alive.holder)
        const claims = seen.filter(({ partition }) => partition < 3)
        const granted = await store.acquire({ holder: 'two', claims, evict })
        expect(granted.map(({ partition }) => partition)).toEqual([0, 2])
        expect((await store.poll({ holder: alive.holder })).isMember).toBe(true)
      },
    },
    {
      id: 'leases.release',
      promise: 'a released lease is free at once, and its holder stays a member',
      async run({ store }) {
        const one = await startRelay(store, { partitions: [1, 2] })
        await store.release({ holder: one.holder, leases: one.leases.slice(0, 1), leave: false })
        const two = await startRelay(store)
        expect(two.leases.map(({ partition }) => partition)).not.toContain(2)
        expect(two.leases).toHaveLength(63)
        expect((await store.poll({ holder: one.holder })).isMember).toBe(true)
      },
    },
    {
      id: 'leases.leave',
      promise: 'who leaves is no member any more, and what it did not give back is free all the same',
      async run({ store }) {
        const one = await startRelay(store, { partitions: [1, 2] })
        await store.release({ holder: one.holder, leases: one.leases.slice(0, 1), leave: true })
        const poll = await store.poll({ holder: one.holder })
        expect(poll.isMember).toBe(false)
        expect(poll.relays).toEqual([])
        expect((await startRelay(store)).leases).toHaveLength(64)
      },
    },
    {
      id: 'leases.release-of-a-lost-lease',
      promise: 'releasing a lease that was lost meanwhile takes nothing from its new holder',
      async run({ store }) {
        const gone = await startRelay(store, { partitions: [1, 2] })
        const heir = await takeOver(store, gone)
        await store.release({ holder: gone.holder, leases: gone.leases, leave: true })
        expect(await standing(store)).toEqual(heir.leases)
      },
    },
    {
      id: 'leases.due-partitions',
      promise: 'a poll names exactly the partitions with something due, whoever holds them',
      async run({ store, commit }) {
        const [due = ''] = orderIdsIn(8, 1)
        const [waiting = ''] = orderIdsIn(9, 1)
        const [blocked = ''] = orderIdsIn(10, 1)
        const [done = ''] = orderIdsIn(11, 1)
        const [back = ''] = orderIdsIn(12, 1)
        await commit([due, waiting, blocked, blocked, done, back].map((id) => order(id)))
        const relay = await startRelay(store)
        const entries = await relay.fetch()
        const heads = (id: string) => entries.filter((entry) => entry.aggregateId === id).slice(0, 1)
        await relay.settle([
          ...heads(waiting).map((entry) => refused(entry, farFuture)),
          ...heads(blocked).map((entry) => dead(entry, 'block')),
          ...heads(done).map((entry) => ({ entry, outcome: 'published' as const })),
          ...heads(back).map((entry) => refused(entry, 0)),
        ])
        await store.join({ holder: 'onlooker' })
        const { duePartitions } = await store.poll({ holder: 'onlooker' })
        expect(duePartitions.toSorted((a, b) => a - b)).toEqual([8, 12])
        expect(places(await relay.fetch()).toSorted()).toEqual([`${due}#1`, `${back}#1`].toSorted())
      },
    },
  ],
}

/** The leases that somebody holds, ascending, as an onlooker sees them. */
async function standing(store: Parameters<typeof startRelay>[0]): Promise<readonly Lease[]> {
  const { leases: all } = await store.poll({ holder: 'onlooker' })
  return all
    .flatMap(({ partition, epoch, holder }) => (holder === null ? [] : [{ partition, epoch, holder }]))
    .toSorted((a, b) => a.partition - b.partition)
}
