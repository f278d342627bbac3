import { expect } from 'vitest'
import { places } from '../../places.ts'
import { expectReceived, type PublisherTopic, statuses } from '../context.ts'

/** Repeats within the window are dropped by the broker, and count as published. */
export const deduplication: PublisherTopic = {
  name: 'deduplication',
  keeps: 'repeats',
  checks: [
    {
      id: 'deduplication.window',
      promise: 'the publisher says for how long repeats are dropped',
      needs: ['deduplicates'],
      async run({ publisher }) {
        expect(publisher.capabilities.dedupeWindowMs ?? 0, 'dedupeWindowMs').toBeGreaterThan(0)
      },
    },
    {
      id: 'deduplication.repeat',
      promise: 'a repeat is answered as published, a duplicate, and stands at the destination once',
      needs: ['deduplicates'],
      async run({ entry, publish, received }) {
        const entries = [entry('a', 1), entry('b', 1), entry('c', 1)]
        expect(statuses(await publish(entries))).toEqual(['published', 'published', 'published'])
        for (const outcome of await publish(entries)) expect(outcome).toEqual({ status: 'published', duplicate: true })
        expectReceived(await received(), entries)
      },
    },
    {
      id: 'deduplication.from-another-process',
      promise: 'a repeat by another process, under a newer lease, is dropped too',
      needs: ['deduplicates'],
      async run({ entry, publish, received, peer }) {
        const first = entry('a', 1)
        await publish([first])
        const again = { ...first, lease: { ...first.lease, epoch: 2, holder: 'heir' } }
        expect(await publish([again], { through: await peer() })).toEqual([{ status: 'published', duplicate: true }])
        expect(places(await received())).toEqual(['a#1'])
      },
    },
    {
      id: 'deduplication.step-back',
      promise: 'a batch that begins with repeats and goes on with new entries arrives without the repeats, in order',
      needs: ['deduplicates'],
      async run({ entry, publish, received }) {
        const entries = Array.from({ length: 6 }, (_, n) => entry('a', n + 1))
        for (const each of entries.slice(0, 4)) await publish([each])
        expect(statuses(await publish(entries.slice(2)))).toEqual(['published', 'published', 'published', 'published'])
        expectReceived(await received(), entries)
      },
    },
    {
      id: 'deduplication.another-life',
      promise: 'a requeued letter has a new id for deduplication: it arrives again, under its own id',
      needs: ['deduplicates'],
      async run({ entry, publish, received }) {
        const first = entry('a', 1)
        await publish([first])
        expect(await publish([{ ...first, deduplicationId: `${first.id}#1` }])).toEqual([{ status: 'published' }])
        expect((await received()).map(({ id }) => id)).toEqual([first.id, first.id])
      },
    },
  ],
}
