import { setTimeout } from 'node:timers/promises'
import type { LeasedSource, Wake } from '@outbox/core'
import { expect } from 'vitest'
import { failure } from '../../failures.ts'
import { order, orderIdsIn, orders } from '../../outbox/events.ts'
import { places } from '../../places.ts'
import { purgesNotMeant } from '../../purges-not-meant.ts'
import type { StoreTopic } from '../store-check.ts'
import { dead, farFuture, published, refused, startRelay } from '../test-relay.ts'

/** Stats, purging, and the wake-up. */
export const upkeep: StoreTopic = {
  name: 'upkeep',
  keeps: 'purge',
  checks: [
    {
      id: 'upkeep.stats',
      promise: 'stats count what is pending, waiting and blocked included, and what is dead',
      keeps: 'stats',
      async run({ store, commit, expectEmpty }) {
        await expectEmpty()
        await commit([...orders('a', 2), order('b'), order('c'), order('d')])
        const relay = await startRelay(store)
        await relay.settle(
          (await relay.fetch()).flatMap((entry) => {
            if (entry.sequence === 2) return []
            if (entry.aggregateId === 'a') return dead(entry, 'block')
            if (entry.aggregateId === 'b') return refused(entry, farFuture)
            return entry.aggregateId === 'c' ? published(entry) : []
          }),
        )
        expect(await store.stats()).toMatchObject({ pending: 3, dead: 1 })
      },
    },
    {
      id: 'upkeep.stats-per-partition',
      promise: 'stats count per partition too: those that have a pending or dead entry, ascending, and no others',
      keeps: 'stats',
      async run({ store, commit }) {
        const idsIn = (partition: number): string => orderIdsIn(partition, 1)[0] ?? ''
        await commit([...orders(idsIn(63), 3), order(idsIn(9)), order(idsIn(20)), order(idsIn(0))])
        const relay = await startRelay(store)
        await relay.settle(
          (await relay.fetch()).flatMap((entry) => {
            if (entry.lease.partition === 9) return dead(entry, 'block')
            if (entry.lease.partition === 20) return published(entry)
            return entry.lease.partition === 63 && entry.sequence === 1 ? dead(entry, 'skip') : []
          }),
        )
        const { partitions, ...all } = await store.stats()
        expect(all).toMatchObject({ pending: 3, dead: 2 })
        expect(partitions).toEqual([
          { partition: 0, pending: 1, dead: 0, oldestPendingAgeMs: expect.any(Number) },
          { partition: 9, pending: 0, dead: 1, oldestPendingAgeMs: null },
          { partition: 63, pending: 2, dead: 1, oldestPendingAgeMs: expect.any(Number) },
        ])
      },
    },
    {
      id: 'upkeep.age-per-partition',
      promise: 'the age of a partition is that of its own oldest pending entry',
      keeps: 'stats',
      async run({ store, commit }) {
        const [old = ''] = orderIdsIn(40, 1)
        const [young = ''] = orderIdsIn(8, 1)
        await commit(order(old))
        while (((await store.stats()).oldestPendingAgeMs ?? 0) < 20) await setTimeout(5)
        await commit(order(young))
        const { oldestPendingAgeMs, partitions } = await store.stats()
        const [youngAge, oldAge] = partitions.map((each) => each.oldestPendingAgeMs ?? Number.NaN)
        expect(partitions.map(({ partition }) => partition)).toEqual([8, 40])
        expect(youngAge).toBeGreaterThanOrEqual(0)
        expect(oldAge).toBeGreaterThanOrEqual((youngAge ?? 0) + 15)
        expect(oldestPendingAgeMs).toBeGreaterThanOrEqual((youngAge ?? 0) + 15)
      },
    },
    {
      id: 'upkeep.age',
      promise: 'the age of the oldest pending entry runs from its enqueueing, whatever the event says of its own time',
      keeps: 'stats',
      async run({ store, commit }) {
        await commit(order('a', { occurredAt: new Date('2001-01-01T00:00:00Z') }))
        const age = async (): Promise<number> => (await store.stats()).oldestPendingAgeMs ?? Number.NaN
        const first = await age()
        expect(first).toBeGreaterThanOrEqual(0)
        expect(first).toBeLessThan(3600 * 1000)
        while ((await age()) < first + 20) await setTimeout(5)
        const older = await age()
        await commit(order('b'))
        expect(await age()).toBeGreaterThanOrEqual(older)
        await (await startRelay(store)).drain()
        expect((await store.stats()).oldestPendingAgeMs).toBeNull()
      },
    },
    {
      id: 'upkeep.age-of-the-living',
      promise: 'the age is that of pending entries: neither the dead nor the published count',
      keeps: 'stats',
      async run({ store, commit }) {
        await commit(order('a'))
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch()).map((entry) => dead(entry, 'skip')))
        expect(await store.stats()).toMatchObject({ pending: 0, dead: 1, oldestPendingAgeMs: null })
      },
    },
    {
      id: 'upkeep.purge',
      promise: 'purge deletes what is published or discarded, never what is pending, waiting, blocked or dead',
      async run({ store, commit }) {
        await commit([...orders('dead', 2), order('discarded'), ...orders('published', 2), order('waits')])
        const relay = await startRelay(store)
        const lent = await relay.fetch()
        await relay.settle(
          lent.flatMap((entry) => {
            if (entry.sequence === 2) return []
            if (entry.aggregateId === 'dead') return dead(entry, 'block')
            if (entry.aggregateId === 'discarded') return dead(entry, 'skip')
            return entry.aggregateId === 'waits' ? refused(entry, farFuture) : published(entry)
          }),
        )
        const [discarded] = lent.filter(({ aggregateId }) => aggregateId === 'discarded')
        await store.deadLetters.discard([discarded?.id ?? ''])
        expect(await store.purge({ olderThanMs: 0, limit: Infinity })).toBe(2)
        expect(await store.purge({ olderThanMs: 0, limit: 100 })).toBe(0)
        expect(await store.stats()).toMatchObject({ pending: 3, dead: 1 })
        expect(places(await store.fetchUnpublished(10)).toSorted()).toEqual(['dead#2', 'published#2', 'waits#1'])
      },
    },
    {
      id: 'upkeep.purge-by-age',
      promise: 'purge spares what ended less than the given time ago, which may be a fraction, or endless',
      async run({ store, commit }) {
        await commit(orders('a', 3))
        await (await startRelay(store)).drain()
        for (const olderThanMs of [3600 * 1000, 3600 * 1000 + 0.25, Infinity]) {
          expect(await store.purge({ olderThanMs, limit: 100 })).toBe(0)
        }
        let purged = 0
        while (purged < 3) {
          await setTimeout(1)
          purged += await store.purge({ olderThanMs: 0.5, limit: 100 })
        }
        expect(purged).toBe(3)
      },
    },
    {
      id: 'upkeep.purge-refused',
      promise:
        'purge refuses an age or a limit that is missing, no number, or below what it can be, and deletes nothing',
      async run({ store, commit }) {
        const [receipt] = await commit(order('a'))
        await (await startRelay(store)).drain()
        for (const request of purgesNotMeant) {
          await failure('invalid-option', Reflect.apply(store.purge, store, [request]))
        }
        expect(await commit(order('a', { id: receipt?.id ?? '' }))).toMatchObject([{ duplicate: true }])
      },
    },
    {
      id: 'upkeep.purge-by-age-since-the-end',
      promise: 'purge spares what was enqueued long ago and has ended since: the age runs from the end',
      async run({ store, commit }) {
        const relay = await startRelay(store)
        for (let olderThanMs = 100; ; olderThanMs *= 2) {
          const event = order('a', { id: crypto.randomUUID() })
          await commit(event)
          while (((await store.stats()).oldestPendingAgeMs ?? 0) <= olderThanMs) await setTimeout(5)
          const before = performance.now()
          await relay.drain()
          await store.purge({ olderThanMs, limit: 100 })
          // on a slow machine the end may be long enough ago: once more then, with more time
          if (performance.now() - before > olderThanMs - 5) continue
          expect(await commit(event)).toMatchObject([{ duplicate: true }])
          return
        }
      },
    },
    {
      id: 'upkeep.purge-oldest-first',
      promise: 'purge deletes first what ended longest ago',
      needs: ['purgesSingly'],
      async run({ store, commit }) {
        const relay = await startRelay(store)
        const events = ['c', 'a', 'b'].map((id) => order(id, { id: crypto.randomUUID() }))
        for (const event of events) {
          await commit(event)
          await relay.drain()
          await setTimeout(5) // so that the next is younger, on a clock of whole milliseconds too
        }
        expect(await store.purge({ olderThanMs: 0, limit: 1 })).toBe(1)
        expect((await commit(events)).map(({ duplicate }) => duplicate)).toEqual([false, true, true])
      },
    },
    {
      id: 'upkeep.purge-in-portions',
      promise: 'purge deletes at most its limit, which may be endless, and fewer only when none is left',
      needs: ['purgesSingly'],
      async run({ store, commit }) {
        await commit(Array.from({ length: 25 }, (_, n) => order(`a-${n % 7}`)))
        const relay = await startRelay(store)
        await relay.drain()
        const counts: number[] = []
        for (let n = 0; n < 4; n++) counts.push(await store.purge({ olderThanMs: 0, limit: 10 }))
        expect(counts).toEqual([10, 10, 5, 0])
        await commit(orders('b', 12))
        await relay.drain()
        expect(await store.purge({ olderThanMs: 0, limit: Infinity })).toBe(12)
      },
    },
    {
      id: 'upkeep.purge-marked',
      promise: 'what markPublished has marked is purged like what a relay has settled',
      async run({ store, commit }) {
        const receipts = await commit(orders('a', 2))
        await store.markPublished(receipts.map(({ id }) => id))
        expect(await store.purge({ olderThanMs: 0, limit: 10 })).toBe(2)
      },
    },
    {
      id: 'upkeep.purge-under-load',
      promise: 'purge and producers do not wait for each other',
      needs: ['concurrentTransactions', 'purgesSingly'],
      async run({ store, commit, begin }) {
        await commit(orders('a', 3))
        await (await startRelay(store)).drain()
        const tx = await begin()
        await tx.enqueue(orders('a', 2))
        expect(await store.purge({ olderThanMs: 0, limit: 10 })).toBe(3) // would hang here
        await tx.commit()
        expect(places(await store.fetchUnpublished(10))).toEqual(['a#4', 'a#5'])
      },
    },
    {
      id: 'upkeep.wakes',
      promise: 'a wake-up subscription is woken soon, when what was committed can be seen',
      keeps: 'waking-up',
      needs: ['wakesUp'],
      async run({ store, commit }) {
        let begun = 0
        let isSeen = false
        const looks: Promise<void>[] = []
        const subscription = await subscribed(store, () => {
          const expected = begun
          const look = async () => {
            if ((await store.fetchUnpublished(1000)).length === expected) isSeen = true
          }
          looks.push(look())
        })
        // one hint may be lost; if dozens are, something else is
        for (let round = 0; !isSeen && round < 60; round++) {
          begun += 1
          await commit(order('a'))
          for (let n = 0; !isSeen && n < 50; n++) await setTimeout(10)
        }
        await subscription[Symbol.asyncDispose]()
        await Promise.all(looks)
        expect(isSeen, 'whoever was woken saw what was committed').toBe(true)
      },
    },
    {
      id: 'upkeep.subscription',
      promise: 'a wake-up subscription ends when it is disposed of, and disturbs nothing',
      keeps: 'waking-up',
      needs: ['wakesUp'],
      async run({ store, commit }) {
        const subscription = await subscribed(store, () => undefined)
        await commit(order('a'))
        await subscription[Symbol.asyncDispose]()
        let wakes = 0
        const late = await subscribed(store, () => {
          wakes += 1
        })
        await late[Symbol.asyncDispose]()
        const before = wakes
        await commit(order('a'))
        expect(await (await startRelay(store)).drain()).toHaveLength(2)
        expect(wakes).toBe(before)
      },
    },
  ],
}

function subscribed(store: LeasedSource, wake: Wake): Promise<AsyncDisposable> {
  if (!store.subscribe) throw new Error('the store has no subscribe(): declare wakesUp as left out, with the reason')
  return store.subscribe(wake)
}
