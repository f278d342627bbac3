import { expect } from 'vitest'
import { order, orders } from '../../outbox/events.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import { dead, farFuture, postponed, published, refused, startRelay, takeOver } from '../test-relay.ts'

/** What settle and the three outcomes do to an entry and its aggregate. */
export const settling: StoreTopic = {
  name: 'settling',
  keeps: 'failure',
  checks: [
    {
      id: 'settling.published',
      promise: 'a published entry is lent and fetched no more, by no process',
      async run({ store, commit, peer }) {
        await commit([...orders('a', 2), order('b')])
        const relay = await startRelay(store)
        expect(await relay.settle((await relay.fetch()).map(published))).toEqual([])
        expect(await relay.fetch()).toEqual([])
        const other = await peer()
        expect(await other.fetchUnpublished(10)).toEqual([])
        expect((await other.poll({ holder: relay.holder })).duePartitions).toEqual([])
      },
    },
    {
      id: 'settling.several-outcomes',
      promise: 'one settle may publish, retry and bury entries of many aggregates, and leave others as they were',
      async run({ store, commit }) {
        await commit(['dead', 'left', 'published', 'retried'].flatMap((id) => orders(id, 2)))
        const relay = await startRelay(store)
        const heads = (await relay.fetch()).filter(({ sequence }) => sequence === 1)
        await relay.settle(
          heads.flatMap((entry) => {
            if (entry.aggregateId === 'published') return published(entry)
            if (entry.aggregateId === 'retried') return refused(entry, farFuture)
            return entry.aggregateId === 'dead' ? dead(entry, 'skip') : []
          }),
        )
        expect(places(await relay.fetch()).toSorted()).toEqual(['dead#2', 'left#1', 'left#2', 'published#2'])
        expect(await store.stats()).toMatchObject({ pending: 6, dead: 1 })
      },
    },
    {
      id: 'settling.nothing',
      promise: 'a settle without settlements, or without leases, changes nothing',
      async run({ store, commit }) {
        await commit(orders('a', 2))
        const relay = await startRelay(store)
        await relay.fetch()
        expect(await relay.settle([])).toEqual([])
        expect(await store.settle({ leases: [], settlements: [] })).toEqual({ lost: [] })
        expect(places(await relay.fetch())).toEqual(['a#1', 'a#2'])
      },
    },
    {
      id: 'settling.retry-counts-once',
      promise: 'saying twice that the broker refused an entry counts one attempt',
      async run({ store, commit }) {
        await commit(order('a'))
        const relay = await startRelay(store)
        const [entry] = await relay.fetch()
        if (!entry) throw new Error('an entry was due')
        await relay.settle([refused(entry, 0)])
        await relay.settle([refused(entry, farFuture)])
        expect(await relay.fetch()).toMatchObject([{ attempt: 2 }])
      },
    },
    {
      id: 'settling.first-word',
      promise: 'of two things that one settle says of an entry, the first counts',
      async run({ store, commit }) {
        await commit(['postponed', 'refused', 'published'].map((id) => order(id)))
        const relay = await startRelay(store)
        const settlements = (await relay.fetch()).flatMap((entry) => {
          if (entry.aggregateId === 'published') return [published(entry), refused(entry, farFuture)]
          const waits = entry.aggregateId === 'refused' ? refused(entry, farFuture) : postponed(entry, farFuture)
          return [waits, published(entry)]
        })
        await relay.settle(settlements)
        expect(await store.stats()).toMatchObject({ pending: 2 })
        expect(places(await store.fetchUnpublished(10)).toSorted()).toEqual(['postponed#1', 'refused#1'])
        expect(await relay.fetch()).toEqual([])
      },
    },
    {
      id: 'settling.old-attempt',
      promise: 'what is said of an earlier attempt changes nothing',
      async run({ store, commit }) {
        await commit(order('a'))
        const relay = await startRelay(store)
        const [entry] = await relay.fetch()
        if (!entry) throw new Error('an entry was due')
        await relay.settle([refused(entry, 0)])
        for (const late of [published(entry), dead(entry, 'block'), refused(entry, farFuture)]) {
          expect(await relay.settle([late])).toEqual([])
        }
        expect(await relay.fetch()).toMatchObject([{ aggregateId: 'a', attempt: 2 }])
        expect(await store.deadLetters.list({ limit: 10 })).toEqual([])
      },
    },
    {
      id: 'settling.before-a-requeue',
      promise: 'what was said of an entry before it was requeued, said again after it, changes nothing',
      async run({ store, commit }) {
        await commit(orders('a', 2))
        const relay = await startRelay(store)
        const [entry] = await relay.fetch()
        if (!entry) throw new Error('an entry was due')
        await relay.settle([dead(entry, 'block')])
        await store.deadLetters.requeue([entry.id])
        for (const late of [dead(entry, 'block'), published(entry), refused(entry, farFuture), postponed(entry)]) {
          expect(await relay.settle([late])).toEqual([])
        }
        const [again] = await relay.fetch()
        expect(again).toMatchObject({ id: entry.id, attempt: 1, deduplicationId: `${entry.id}#1` })
        expect(await store.deadLetters.list({ limit: 10 })).toEqual([])
        await relay.settle(again ? [published(again)] : [])
        expect(places(await relay.fetch())).toEqual(['a#2'])
      },
    },
    {
      id: 'settling.the-end-stays',
      promise: 'what is published cannot die or be retried any more, what is dead cannot be published',
      async run({ store, commit }) {
        await commit([order('a'), order('b')])
        const relay = await startRelay(store)
        const entries = await relay.fetch()
        const [done] = entries.filter(({ aggregateId }) => aggregateId === 'a')
        const [gone] = entries.filter(({ aggregateId }) => aggregateId === 'b')
        if (!done || !gone) throw new Error('two entries were due')
        await relay.settle([published(done), dead(gone, 'skip', 'first reason')])
        await relay.settle([dead(done, 'block'), published(gone)])
        await relay.settle([refused(done, farFuture), dead(gone, 'block', 'second reason')])
        await commit([order('a'), order('b')])
        expect(places(await relay.fetch()).toSorted()).toEqual(['a#2', 'b#2'])
        const letters = await store.deadLetters.list({ limit: 10 })
        expect(letters.map(({ entry, reason }) => [entry.id, reason])).toEqual([[gone.id, 'first reason']])
      },
    },
    {
      id: 'settling.refusals-counted',
      promise: 'each refusal raises the attempt by one, and every process sees it',
      async run({ store, commit, peer }) {
        await commit(order('a'))
        let relay = await startRelay(store)
        for (let attempt = 1; attempt <= 5; attempt++) {
          const batch = await relay.fetch()
          expect(batch).toMatchObject([{ attempt }])
          await relay.settle(batch.map((entry) => refused(entry)))
          relay = await takeOver(await peer(), relay)
        }
      },
    },
    {
      id: 'settling.outages-not-counted',
      promise: 'an outage raises no attempt, however often',
      async run({ store, commit }) {
        await commit(order('a'))
        const relay = await startRelay(store)
        for (let n = 0; n < 5; n++) {
          const batch = await relay.fetch()
          expect(batch).toMatchObject([{ attempt: 1 }])
          await relay.settle(batch.map((entry) => postponed(entry)))
        }
      },
    },
    {
      id: 'settling.own-attempts',
      promise: 'attempts belong to the entry: the next one of its aggregate begins at 1',
      async run({ store, commit }) {
        await commit(orders('a', 2))
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch({ limit: 1 })).map((entry) => refused(entry)))
        expect((await relay.fetch()).map(({ attempt }) => attempt)).toEqual([2, 1])
      },
    },
  ],
}
