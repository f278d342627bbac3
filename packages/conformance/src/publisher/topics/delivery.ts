import { expect } from 'vitest'
import { places } from '../../places.ts'
import { expectReceived, type PublisherTopic, statuses } from '../context.ts'

/** Outcomes, and the order in which messages arrive. */
export const delivery: PublisherTopic = {
  name: 'delivery',
  keeps: 'delivery',
  checks: [
    {
      id: 'delivery.described',
      promise: 'the publisher has a name, and says whether it keeps order within a batch',
      async run({ publisher }) {
        expect(publisher.name).not.toBe('')
        expect(publisher.capabilities.keepsOrderInBatch).toBeTypeOf('boolean')
      },
    },
    {
      id: 'delivery.set-up',
      promise: 'check() passes on a destination that is set up, and its warnings are sentences',
      keeps: 'set-up',
      async run({ publisher }) {
        const warnings = (await publisher.check?.({ retryHorizonMs: 60_000 })) ?? []
        for (const warning of warnings) expect(warning.trim()).not.toBe('')
      },
    },
    {
      id: 'delivery.one',
      promise: 'a published entry stands at the destination, once',
      async run({ entry, publish, received }) {
        expect(await publish([entry('a', 1)])).toEqual([{ status: 'published' }])
        expect(places(await received())).toEqual(['a#1'])
      },
    },
    {
      id: 'delivery.none',
      promise: 'an empty batch has no outcomes and sends nothing',
      async run({ publish, received }) {
        expect(await publish([])).toEqual([])
        expect(await received()).toEqual([])
      },
    },
    {
      id: 'delivery.order-in-a-batch',
      promise: 'entries of one aggregate arrive in the order given, among those of many others',
      keeps: 'order',
      async run({ entry, publish, received }) {
        const ids = ['a', 'b', 'c', 'd', 'e']
        const entries = Array.from({ length: 40 }, (_, n) => ids.map((id) => entry(id, n + 1))).flat()
        expect(new Set(statuses(await publish(entries)))).toEqual(new Set(['published']))
        expectReceived(await received(), entries)
      },
    },
    {
      id: 'delivery.order-over-batches',
      promise: 'what is published later arrives later',
      keeps: 'order',
      async run({ entry, publish, received }) {
        const entries = Array.from({ length: 12 }, (_, n) => entry('a', n + 1))
        for (const each of entries) expect(await publish([each])).toEqual([{ status: 'published' }])
        expectReceived(await received(), entries)
      },
    },
    {
      id: 'delivery.gaps',
      promise: 'gaps between sequences mean nothing',
      keeps: 'order',
      async run({ entry, publish, received }) {
        for (const sequence of [1, 5, 1000])
          expect(await publish([entry('a', sequence)])).toEqual([{ status: 'published' }])
        expect(places(await received())).toEqual(['a#1', 'a#5', 'a#1000'])
      },
    },
    {
      id: 'delivery.late-sequence',
      promise:
        'a lower sequence than the last is published like any other: a store lends late commits and requeued letters',
      keeps: 'order',
      async run({ entry, publish, received }) {
        for (const [sequence, isLate] of [
          [1, false],
          [3, false],
          [2, true],
        ] as const) {
          expect(await publish([entry('a', sequence, { isLate })])).toEqual([{ status: 'published' }])
        }
        expect(places(await received())).toEqual(['a#1', 'a#3', 'a#2'])
      },
    },
    {
      id: 'delivery.large-batch',
      promise: 'a batch of a thousand aggregates is published whole',
      async run({ entry, publish, received }) {
        const entries = Array.from({ length: 1000 }, (_, n) => entry(`a-${n}`, 1))
        expect(new Set(statuses(await publish(entries)))).toEqual(new Set(['published']))
        expect(places(await received()).toSorted()).toEqual(places(entries).toSorted())
      },
    },
    {
      id: 'delivery.side-by-side',
      promise: 'publish may be called again before the last call has ended, for other aggregates',
      async run({ entry, publish, received }) {
        const batches = Array.from({ length: 8 }, (_, n) =>
          Array.from({ length: 5 }, (__, m) => entry(`a-${n}-${m}`, 1)),
        )
        const outcomes = await Promise.all(batches.map((batch) => publish(batch)))
        expect(new Set(statuses(outcomes.flat()))).toEqual(new Set(['published']))
        expect(places(await received()).toSorted()).toEqual(places(batches.flat()).toSorted())
      },
    },
  ],
}
