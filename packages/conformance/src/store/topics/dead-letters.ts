import type { DueEntry, LeasedSource } from '@outbox/core'
import { expect } from 'vitest'
import { account, order, orders } from '../../outbox/events.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import { dead, refused, startRelay, type TestRelay, takeOver } from '../test-relay.ts'
import { blocking } from './blocking.ts'

/** Dead letters are kept, listed, given another life, or given up. */
export const deadLetters: StoreTopic = {
  name: 'dead letters',
  keeps: 'dead-letters',
  checks: [
    {
      id: 'dead-letters.list',
      promise: 'a dead letter shows the whole entry, its last attempt, its reason and when it died, to every process',
      async run({ store, commit, peer }) {
        await commit(order('a', { headers: { tenant: 'blue' }, payload: { n: 1 } }))
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch()).map((entry) => refused(entry)))
        const [lent] = await relay.fetch()
        if (!lent) throw new Error('an entry was due')
        const before = Date.now()
        await relay.settle([dead(lent, 'block', 'refused for ever: no such subject')])
        const [letter, ...others] = await (await peer()).deadLetters.list({ limit: 10 })
        expect(others).toEqual([])
        const { lease, source: _, isLate: __, ...entry } = lent
        expect(letter?.entry).toEqual({ ...entry, partition: lease.partition })
        expect(letter?.entry.attempt).toBe(2)
        expect(letter?.reason).toBe('refused for ever: no such subject')
        // the database's clock may differ from ours, not by a day
        expect(Math.abs((letter?.diedAt.getTime() ?? 0) - before)).toBeLessThan(24 * 3600 * 1000)
      },
    },
    {
      id: 'dead-letters.holder',
      promise: 'a dead letter names the holder under whose lease it was given up, the last one if it died twice',
      async run({ store, commit, peer }) {
        await commit([order('a'), order('b')])
        const one = await startRelay(store)
        const [first] = await one.fetch({ limit: 1 })
        if (!first) throw new Error('an entry was due')
        await one.settle([dead(first, 'skip')])
        const two = await takeOver(await peer(), one)
        await buryAll(two, 'skip')
        const holders = async () => (await store.deadLetters.list({ limit: 10 })).map(({ holder }) => holder)
        expect(await holders()).toEqual([one.holder, two.holder])
        await store.deadLetters.requeue([first.id])
        await buryAll(two, 'skip')
        expect(await holders()).toEqual([two.holder, two.holder])
      },
    },
    {
      id: 'dead-letters.pages',
      promise:
        'pages of dead letters follow one another in the order of enqueueing, none twice, none left out; after an unknown id comes nothing',
      async run({ store, commit }) {
        const ids = ['c', 'a', 'e', 'b', 'd']
        for (const id of ids) await commit(order(id))
        const relay = await startRelay(store)
        await buryAll(relay, 'skip')
        const listed: string[] = []
        let after: string | undefined
        for (;;) {
          const page = await store.deadLetters.list({ limit: 2, ...(after === undefined ? {} : { after }) })
          expect(page.length).toBeLessThanOrEqual(2)
          listed.push(...page.map(({ entry }) => entry.aggregateId))
          expect(listed.length).toBeLessThanOrEqual(ids.length)
          after = page.at(-1)?.entry.id
          if (after === undefined) break
        }
        expect(listed).toEqual(ids)
        const all = await store.deadLetters.list({ limit: Infinity })
        expect(all.map(({ entry }) => entry.aggregateId)).toEqual(ids)
        expect(await store.deadLetters.list({ limit: 2, after: crypto.randomUUID() })).toEqual([])
      },
    },
    {
      id: 'dead-letters.pages-while-requeued',
      promise: 'paging goes on behind a dead letter that was requeued or discarded meanwhile',
      async run({ store, commit }) {
        for (const id of ['a', 'b', 'c', 'd']) await commit(order(id))
        await buryAll(await startRelay(store), 'skip')
        const page = await store.deadLetters.list({ limit: 2 })
        const [first, second] = page.map(({ entry }) => entry.id)
        await store.deadLetters.discard([first ?? ''])
        await store.deadLetters.requeue([second ?? ''])
        const next = await store.deadLetters.list({ limit: 2, after: second ?? '' })
        expect(next.map(({ entry }) => entry.aggregateId)).toEqual(['c', 'd'])
      },
    },
    {
      id: 'dead-letters.not-lent',
      promise: 'the dead are lent to nobody',
      async run({ store, commit }) {
        await commit([order('a'), order('b')])
        const relay = await startRelay(store)
        await buryAll(relay, 'skip')
        expect(await relay.fetch()).toEqual([])
        expect(await (await takeOver(store, relay)).fetch()).toEqual([])
        expect((await store.poll({ holder: 'onlooker' })).duePartitions).toEqual([])
      },
    },
    {
      id: 'dead-letters.requeue',
      promise: 'a requeued letter is pending again, due at once, as if never tried, under its own id and sequence',
      async run({ store, commit }) {
        const [receipt] = await commit(order('a'))
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch()).map((entry) => refused(entry)))
        await buryAll(relay, 'block')
        expect(await store.deadLetters.requeue([receipt?.id ?? ''])).toBe(1)
        expect(await store.deadLetters.list({ limit: 10 })).toEqual([])
        expect((await store.stats()).pending).toBe(1)
        const [entry] = await relay.fetch()
        expect(entry).toMatchObject({ id: receipt?.id, sequence: 1, attempt: 1, crashes: 0, isLate: false })
      },
    },
    {
      id: 'dead-letters.deduplication-id',
      promise: 'each requeue gives a new id for deduplication, id#1, id#2, and no other id changes',
      async run({ store, commit }) {
        const [receipt] = await commit(order('a'))
        const id = receipt?.id ?? ''
        const relay = await startRelay(store)
        for (const deduplicationId of [id, `${id}#1`, `${id}#2`]) {
          expect(await relay.fetch()).toMatchObject([{ id, deduplicationId }])
          await buryAll(relay, 'skip')
          expect(await store.deadLetters.list({ limit: 10 })).toMatchObject([{ entry: { id, deduplicationId } }])
          await store.deadLetters.requeue([id])
        }
        expect(await commit(order('a', { id }))).toMatchObject([{ duplicate: true }])
      },
    },
    {
      id: 'dead-letters.requeue-keeps-the-place',
      promise: 'a requeued letter is lent before everything of its aggregate that follows it',
      async run({ store, commit }) {
        await commit(orders('a', 4))
        const relay = await startRelay(store)
        const [first, second] = await relay.fetch()
        if (!first || !second) throw new Error('two entries were due')
        await relay.settle([dead(first, 'skip')])
        await relay.settle([dead(second, 'block')])
        await commit(order('a'))
        expect(await store.deadLetters.requeue([second.id, first.id])).toBe(2)
        expect(places(await relay.drain({ limit: 2 }))).toEqual(['a#1', 'a#2', 'a#3', 'a#4', 'a#5'])
      },
    },
    {
      id: 'dead-letters.requeue-is-not-late',
      promise: 'a letter requeued after its successors were published is not called late: it was committed before them',
      async run({ store, commit }) {
        await commit([account('a', 1), account('a', 2)])
        const relay = await startRelay(store)
        const [head] = await relay.fetch()
        if (!head) throw new Error('an entry was due')
        await relay.settle([dead(head, 'skip')])
        expect(places(await relay.drain())).toEqual(['a#2'])
        await store.deadLetters.requeue([head.id])
        expect(await relay.fetch()).toMatchObject([{ sequence: 1, isLate: false }])
      },
    },
    {
      id: 'dead-letters.discard',
      promise: 'a discarded letter is gone from everywhere, and an aggregate that it blocked goes on',
      async run({ store, commit }) {
        await commit(orders('a', 3))
        const relay = await startRelay(store)
        const [first] = await relay.fetch()
        if (!first) throw new Error('an entry was due')
        await relay.settle([dead(first, 'block')])
        expect(await relay.fetch()).toEqual([])
        expect(await store.deadLetters.discard([first.id])).toBe(1)
        expect(await store.stats()).toMatchObject({ pending: 2, dead: 0 })
        expect(await store.deadLetters.list({ limit: 10 })).toEqual([])
        expect(await store.deadLetters.requeue([first.id])).toBe(0)
        expect(places(await relay.drain())).toEqual(['a#2', 'a#3'])
      },
    },
    {
      id: 'dead-letters.many',
      promise: 'more than a thousand letters are buried in one settle, and requeued or discarded in one call',
      async run({ store, commit }) {
        const receipts = await commit(Array.from({ length: 2200 }, (_, n) => order(`a-${n}`)))
        const ids = receipts.map(({ id }) => id)
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch({ limit: 5000 })).map((entry) => dead(entry, 'block')))
        expect(await store.stats()).toMatchObject({ pending: 0, dead: 2200 })
        expect(await store.deadLetters.requeue(ids.slice(0, 1100))).toBe(1100)
        expect(await store.deadLetters.discard(ids)).toBe(1100)
        expect(await relay.drain({ limit: 5000 })).toHaveLength(1100)
      },
    },
    {
      id: 'dead-letters.other-ids',
      promise: 'requeue and discard count what was dead, and change nothing for other ids',
      async run({ store, commit }) {
        const receipts = await commit([order('dead'), order('pending'), order('published')])
        const idOf = (index: number): string => receipts[index]?.id ?? ''
        const relay = await startRelay(store)
        const entries = await relay.fetch()
        await relay.settle(
          entries.flatMap((entry) => {
            if (entry.aggregateId === 'dead') return dead(entry, 'skip')
            return entry.aggregateId === 'published' ? { entry, outcome: 'published' as const } : []
          }),
        )
        const others = [idOf(1), idOf(2), crypto.randomUUID()]
        expect(await store.deadLetters.requeue([])).toBe(0)
        expect(await store.deadLetters.requeue(others)).toBe(0)
        expect(await store.deadLetters.discard(others)).toBe(0)
        expect(await relay.fetch()).toMatchObject([{ aggregateId: 'pending', deduplicationId: idOf(1) }])
        expect(await store.deadLetters.requeue([idOf(0), idOf(0), ...others])).toBe(1)
        expect(await store.deadLetters.requeue([idOf(0)])).toBe(0)
      },
    },
    {
      id: 'dead-letters.case-of-the-id',
      promise: 'an id in capitals is the same id for whoever lists, requeues, discards or marks',
      async run({ store, commit }) {
        const receipts = await commit(['a', 'b', 'c'].map((id) => order(id)))
        const [a = '', b = '', c = ''] = receipts.map(({ id }) => id.toUpperCase())
        const relay = await startRelay(store)
        await relay.settle((await relay.fetch({ limit: 2 })).map((entry) => dead(entry, 'skip')))
        await store.markPublished([c])
        expect(await store.fetchUnpublished(10)).toEqual([])
        const letters = await store.deadLetters.list({ limit: 10, after: a })
        expect(letters.map(({ entry }) => entry.aggregateId)).toEqual(['b'])
        expect(await store.deadLetters.requeue([a, a.toLowerCase()])).toBe(1)
        expect(await store.deadLetters.discard([b])).toBe(1)
        expect(places(await relay.drain())).toEqual(['a#1'])
      },
    },
    {
      id: 'dead-letters.two-operators',
      promise: 'of two that requeue the same letters at once, each letter is counted once',
      async run({ store, commit, peer }) {
        const receipts = await commit(Array.from({ length: 40 }, (_, n) => order(`a-${n}`)))
        await buryAll(await startRelay(store), 'skip')
        const ids = receipts.map(({ id }) => id)
        const other = await peer()
        const counts = await Promise.all([
          store.deadLetters.requeue(ids),
          other.deadLetters.requeue(ids.toReversed()),
          other.deadLetters.discard(ids),
        ])
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(40)
        expect(await store.stats()).toMatchObject({ dead: 0 })
      },
    },
    {
      id: 'dead-letters.odd-reasons',
      promise: 'a reason may be anything a broker says: empty, long, Unicode, with control characters or half a pair',
      async run({ store, commit }) {
        const reasons = [
          '',
          `no "quotes" 'left' \\ %s $1 ?`,
          '🙈 Größe überschritten\n\tline 2',
          'nul:\u0000.',
          'half:\ud83d.',
          'x'.repeat(50_000),
        ]
        await commit(reasons.map((_, index) => order(`a-${index}`)))
        const relay = await startRelay(store)
        const batch = await relay.fetch()
        const lost = await relay.settle(
          batch.map((entry) => dead(entry, 'skip', reasons[Number(entry.aggregateId.slice(2))] ?? '')),
        )
        expect(lost).toEqual([])
        const letters = await lettersById(store)
        expect(letters.get('a-0')).toBe('')
        expect(letters.get('a-1')).toBe(reasons[1])
        expect(letters.get('a-2')).toBe(reasons[2])
        expect(letters.get('a-3')).toMatch(/^nul:.*\.$/su)
        expect(letters.get('a-4')).toMatch(/^half:.*\.$/su)
        expect(letters.get('a-5')?.slice(0, 1000)).toBe('x'.repeat(1000))
      },
    },
    ...blocking,
  ],
}

/** Buries everything that is due. */
async function buryAll(relay: TestRelay, then: 'skip' | 'block'): Promise<void> {
  const bury = (entry: DueEntry) => dead(entry, then)
  await relay.settle((await relay.fetch()).map(bury))
}

async function lettersById(store: LeasedSource): Promise<Map<string, string>> {
  const letters = await store.deadLetters.list({ limit: 100 })
  return new Map(letters.map(({ entry, reason }) => [entry.aggregateId, reason]))
}
