import type { DueEntry } from '@outbox/core'
import { expect } from 'vitest'
import { places } from '../../places.ts'
import { type PublisherTopic, statuses } from '../context.ts'

/** The broker refuses the late write of an owner that has lost its lease. */
export const fencing: PublisherTopic = {
  name: 'fencing',
  keeps: 'repeats',
  checks: [
    {
      id: 'fencing.late-write',
      promise: 'once a newer owner has written to an aggregate, an older one is fenced, and nothing of it arrives',
      needs: ['fences'],
      async run({ entry, publish, received, peer }) {
        const zombie = await peer()
        await publish([under(entry('a', 1), 1)], { through: zombie })
        expect(await publish([under(entry('a', 2), 2)])).toEqual([{ status: 'published' }])
        const late = await publish([under(entry('a', 2), 1), under(entry('a', 3), 1)], { through: zombie })
        expect(statuses(late)).toEqual(['fenced', 'notSent'])
        expect(places(await received())).toEqual(['a#1', 'a#2'])
      },
    },
    {
      id: 'fencing.after-a-restart',
      promise: 'an older owner is fenced even if it never wrote before',
      needs: ['fences'],
      async run({ entry, publish, received, peer }) {
        await publish([under(entry('a', 1), 7)])
        expect(statuses(await publish([under(entry('a', 2), 6)], { through: await peer() }))).toEqual(['fenced'])
        expect(places(await received())).toEqual(['a#1'])
      },
    },
    {
      id: 'fencing.newer-owner',
      promise: 'a newer owner is never fenced, whatever gap between the epochs',
      needs: ['fences'],
      async run({ entry, publish, received }) {
        for (const [sequence, epoch] of [
          [1, 1],
          [2, 2],
          [3, 90],
          [4, 2 ** 40],
          [5, 2 ** 40],
        ] as const) {
          expect(await publish([under(entry('a', sequence), epoch)])).toEqual([{ status: 'published' }])
        }
        expect(places(await received())).toEqual(['a#1', 'a#2', 'a#3', 'a#4', 'a#5'])
      },
    },
    {
      id: 'fencing.own-partition-only',
      promise: 'epochs of one partition say nothing of another',
      needs: ['fences'],
      async run({ entry, publish, received }) {
        await publish([under(entry('a', 1), 50, 1)])
        expect(await publish([under(entry('b', 1), 2, 2)])).toEqual([{ status: 'published' }])
        expect(places(await received()).toSorted()).toEqual(['a#1', 'b#1'])
      },
    },
    {
      id: 'fencing.whole-partition',
      promise:
        'a newer owner of a partition fences an older one for every aggregate of it, also those it has not touched',
      needs: ['fencesPartitions'],
      async run({ entry, publish, received }) {
        await publish([under(entry('a', 1), 5, 1)])
        expect(statuses(await publish([under(entry('b', 1), 4, 1)]))).toEqual(['fenced'])
        expect(places(await received())).toEqual(['a#1'])
      },
    },
    {
      id: 'fencing.no-leases',
      promise: 'relays of a store without leases, which all have epoch 0, may follow one another',
      needs: ['fences'],
      async run({ entry, publish, received, peer }) {
        const before = { partition: entry('a', 1).lease.partition, epoch: 0, holder: 'a relay that is gone' }
        expect(await publish([{ ...entry('a', 1), lease: before }])).toEqual([{ status: 'published' }])
        const next = { ...entry('a', 2), lease: { ...before, holder: 'the next' } }
        expect(await publish([next], { through: await peer() })).toEqual([{ status: 'published' }])
        expect(places(await received())).toEqual(['a#1', 'a#2'])
      },
    },
    {
      id: 'fencing.newest-epoch',
      promise: 'who is fenced learns the newest epoch, where the broker tells it: claim the lease above that',
      needs: ['fences'],
      async run({ entry, publish }) {
        await publish([under(entry('a', 1), 70)])
        const [outcome] = await publish([under(entry('a', 2), 3)])
        if (outcome?.status !== 'fenced') throw new Error(`The outcome is ${outcome?.status}, not fenced`)
        expect([70, undefined]).toContain(outcome.epoch)
      },
    },
    {
      id: 'fencing.same-epoch-other-holder',
      promise: 'an epoch that was granted twice, after a fail-over, is good for one holder only',
      needs: ['fencesPartitions'],
      async run({ entry, publish, received }) {
        const first = entry('a', 1)
        await publish([first])
        const other = { ...entry('a', 2), lease: { ...first.lease, holder: 'granted the same epoch' } }
        expect(statuses(await publish([other]))).toEqual(['fenced'])
        expect(await publish([entry('a', 2)])).toEqual([{ status: 'published' }])
        expect(places(await received())).toEqual(['a#1', 'a#2'])
      },
    },
    {
      id: 'fencing.other-outbox',
      promise: 'two outboxes that write to one destination do not fence each other',
      needs: ['fencesPartitions'],
      async run({ entry, publish, received }) {
        await publish([under(entry('a', 1), 9, 1)])
        const other = { ...under(entry('b', 1), 1, 1), source: crypto.randomUUID() }
        expect(await publish([other])).toEqual([{ status: 'published' }])
        expect(places(await received()).toSorted()).toEqual(['a#1', 'b#1'])
      },
    },
    {
      id: 'fencing.before-deduplication',
      promise: 'a late repeat of an older owner does not arrive, whether it is called fenced or a duplicate',
      needs: ['fences', 'deduplicates'],
      async run({ entry, publish, received }) {
        const first = entry('a', 1)
        await publish([first])
        await publish([under(entry('a', 2), 2)])
        await publish([first])
        expect(places(await received())).toEqual(['a#1', 'a#2'])
      },
    },
  ],
}

function under(entry: DueEntry, epoch: number, partition: number = entry.lease.partition): DueEntry {
  return { ...entry, lease: { partition, epoch, holder: `holder of epoch ${epoch}` } }
}
