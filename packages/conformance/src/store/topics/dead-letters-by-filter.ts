import { setTimeout } from 'node:timers/promises'
import type { DeadLetterFilter, DomainEvent, LeasedSource } from '@outbox/core'
import { expect } from 'vitest'
import { failure } from '../../failures.ts'
import { order, orders } from '../../outbox/events.ts'
import { sequencesOf, upTo } from '../../outbox/facts.ts'
import { places } from '../../places.ts'
import type { StoreContext } from '../context.ts'
import type { StoreTopic } from '../store-check.ts'
import { dead, startRelay, type TestRelay } from '../test-relay.ts'

/** Letters that differ in one thing each, so that every field of a filter has something to leave out. */
const variety: readonly DomainEvent[] = [
  order('a'),
  order('b'),
  order('a', { aggregateType: 'sales order' }),
  { ...order('a'), type: 'order.cancelled' },
  order('A'),
  order('a '),
  { ...order('c'), type: 'Order.placed', aggregateType: 'order' },
]

/** What a program in JavaScript may hand over. The first two may be left out where there is a page. */
const notMeant: readonly unknown[] = [
  undefined,
  null,
  'order.placed',
  [],
  { eventType: undefined },
  { eventType: 'order.placed', aggregateId: undefined },
  { evntType: 'order.placed' },
  { aggregateId: 7 },
  { diedBefore: 1e12 },
  { diedBefore: new Date(Number.NaN) },
]

/** An operator names what died of one cause, and gives it another life or gives it up, all at once. */
export const deadLettersByFilter: StoreTopic = {
  name: 'dead letters by filter',
  keeps: 'dead-letters',
  checks: [
    {
      id: 'dead-letters-by-filter.fields',
      promise: 'a filter shows the letters that fit in all that it names, letter for letter; none named, all',
      async run(context) {
        const { store } = context
        await bury(context, variety)
        expect(await indexes(store, {})).toEqual([0, 1, 2, 3, 4, 5, 6])
        expect(await indexes(store, { eventType: 'order.placed' })).toEqual([0, 1, 2, 4, 5])
        expect(await indexes(store, { eventType: 'order.cancelled' })).toEqual([3])
        expect(await indexes(store, { aggregateType: 'sales order' })).toEqual([2])
        expect(await indexes(store, { aggregateId: 'a' })).toEqual([0, 2, 3])
        expect(await indexes(store, { aggregateType: 'order', aggregateId: 'a' })).toEqual([0, 3])
        expect(await indexes(store, { eventType: 'order.placed', aggregateType: 'order', aggregateId: 'a' })).toEqual([
          0,
        ])
        expect(await indexes(store, { aggregateId: 'nobody' })).toEqual([])
        expect(await indexes(store, { eventType: '%' })).toEqual([])
      },
    },
    {
      id: 'dead-letters-by-filter.died-before',
      promise: 'a filter by time shows what died before it',
      async run(context) {
        const { store, commit } = context
        const relay = await bury(context, [order('early'), order('early')])
        await setTimeout(20) // so that there is a time between the two deaths, on a clock of whole milliseconds too
        await commit(order('late'))
        await buryDue(relay)
        const died = (await store.deadLetters.list({ limit: 10 })).map(({ diedAt }) => diedAt.getTime())
        const between = new Date(((died[1] ?? Number.NaN) + (died[2] ?? Number.NaN)) / 2)
        expect(await ids(store, { diedBefore: between })).toEqual(['early', 'early'])
        expect(await ids(store, { diedBefore: between, aggregateId: 'late' })).toEqual([])
        expect(await ids(store, { diedBefore: new Date('2001-01-01T00:00:00Z') })).toEqual([])
        expect(await ids(store, { diedBefore: new Date('2999-01-01T00:00:00Z') })).toEqual(['early', 'early', 'late'])
      },
    },
    {
      id: 'dead-letters-by-filter.refused',
      promise: 'a filter that is misspelt, or holds nothing where something was meant, is refused, and nothing changes',
      async run(context) {
        const { deadLetters, stats } = context.store
        await bury(context, [order('a'), order('b')])
        for (const where of notMeant) {
          for (const call of [deadLetters.requeueAll, deadLetters.discardAll]) {
            await failure('invalid-option', Reflect.apply(call, deadLetters, [where]))
          }
        }
        for (const where of notMeant.slice(2)) {
          await failure('invalid-option', Reflect.apply(deadLetters.list, deadLetters, [{ limit: 10, where }]))
        }
        expect(await Reflect.apply(stats, context.store, [])).toMatchObject({ pending: 0, dead: 2 })
        expect(await deadLetters.discardAll({})).toBe(2)
      },
    },
    {
      id: 'dead-letters-by-filter.pages',
      promise: 'pages of a filter follow one another, though others died in between and some are requeued meanwhile',
      async run({ store, commit }) {
        for (let n = 0; n < 12; n++) await commit(order(n % 2 === 0 ? 'wanted' : 'other'))
        await buryDue(await startRelay(store))
        const where = { aggregateId: 'wanted' }
        const first = await store.deadLetters.list({ limit: 2, where })
        expect(
          sequencesOf(
            first.map(({ entry }) => entry),
            'wanted',
          ),
        ).toEqual([1, 2])
        await store.deadLetters.requeue(first.map(({ entry }) => entry.id))
        const after = first.at(-1)?.entry.id ?? ''
        const second = await store.deadLetters.list({ limit: 3, where, after })
        expect(
          sequencesOf(
            second.map(({ entry }) => entry),
            'wanted',
          ),
        ).toEqual([3, 4, 5])
        expect(second).toHaveLength(3)
      },
    },
    {
      id: 'dead-letters-by-filter.requeue-all',
      promise: 'requeueAll gives hundreds of letters another life, in order, counts them, and touches no others',
      async run(context) {
        const { store } = context
        const wanted = ['a', 'b', 'c'].flatMap((id) => orders(id, 90))
        const relay = await bury(context, [...wanted, order('other', { aggregateType: 'other' })])
        expect(await store.deadLetters.requeueAll({ aggregateType: 'order' })).toBe(270)
        expect(await store.deadLetters.requeueAll({ aggregateType: 'order' })).toBe(0)
        expect(await store.stats()).toMatchObject({ pending: 270, dead: 1 })
        expect(await ids(store, {})).toEqual(['other'])
        const lent = await relay.drain({ limit: 50, limitPerAggregate: 20 })
        for (const id of ['a', 'b', 'c']) expect(sequencesOf(lent, id), id).toEqual(upTo(90))
        expect(lent.every(({ id, deduplicationId }) => deduplicationId === `${id}#1`)).toBe(true)
      },
    },
    {
      id: 'dead-letters-by-filter.discard-all',
      promise: 'discardAll gives hundreds of letters up, counts them, opens what they blocked, and touches no others',
      async run(context) {
        const { store, commit } = context
        const wanted = Array.from({ length: 230 }, (_, n) => order(`a-${n}`))
        const relay = await bury(context, [...wanted, { ...order('other'), type: 'order.cancelled' }], 'block')
        await commit([order('a-0'), order('a-229'), order('other')])
        expect(await relay.fetch()).toEqual([])
        expect(await store.deadLetters.discardAll({ eventType: 'order.placed' })).toBe(230)
        expect(await store.deadLetters.discardAll({ eventType: 'order.placed' })).toBe(0)
        expect(await ids(store, {})).toEqual(['other'])
        expect(places(await relay.drain()).toSorted()).toEqual(['a-0#2', 'a-229#2'])
      },
    },
    {
      id: 'dead-letters-by-filter.two-operators',
      promise: 'of two that requeue and discard by filter at once, each letter is counted once, and none is left',
      async run(context) {
        const { store, peer } = context
        await bury(
          context,
          Array.from({ length: 250 }, (_, n) => order(`a-${n}`)),
        )
        const other = await peer()
        const counts = await Promise.all([
          store.deadLetters.requeueAll({ aggregateType: 'order' }),
          other.deadLetters.requeueAll({}),
          other.deadLetters.discardAll({ eventType: 'order.placed' }),
        ])
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(250)
        expect(await store.stats()).toMatchObject({ dead: 0 })
      },
    },
  ],
}

/** Commits events and buries all of them, in the order in which they were enqueued. */
async function bury(
  { store, commit }: StoreContext,
  events: readonly DomainEvent[],
  then: 'skip' | 'block' = 'skip',
): Promise<TestRelay> {
  await commit(events.map((event, index) => ({ ...event, headers: { index: String(index) } })))
  const relay = await startRelay(store)
  await buryDue(relay, then)
  return relay
}

async function buryDue(relay: TestRelay, then: 'skip' | 'block' = 'skip'): Promise<void> {
  await relay.settle((await relay.fetch()).map((entry) => dead(entry, then)))
}

async function ids(store: LeasedSource, where: DeadLetterFilter): Promise<readonly string[]> {
  return (await store.deadLetters.list({ limit: 1000, where })).map(({ entry }) => entry.aggregateId)
}

/** The places in which the letters that fit were given to `bury`. */
async function indexes(store: LeasedSource, where: DeadLetterFilter): Promise<readonly number[]> {
  const letters = await store.deadLetters.list({ limit: 1000, where })
  return letters.map(({ entry }) => Number(entry.headers['index'])).toSorted((a, b) => a - b)
}
