import { expect } from 'vitest'
import { places } from '../../places.ts'
import { expectReceived, type PublisherTopic, statuses } from '../context.ts'

/** A failure stops its own aggregate, and nobody else. */
export const failures: PublisherTopic = {
  name: 'failures',
  keeps: 'failure',
  checks: [
    {
      id: 'failures.one-aggregate',
      promise: 'an aggregate that the broker refuses gets a reason, the others are published all the same',
      needs: ['refuses'],
      async run({ entry, publish, received, refuse }) {
        await refuse('poison')
        const outcomes = await publish([entry('a', 1), entry('poison', 1), entry('b', 1)])
        expect(statuses(outcomes)).toEqual(['published', expect.stringMatching(/^(?:retry|reject)$/), 'published'])
        const poison = outcomes[1]
        expect(poison && 'error' in poison && poison.error).toBeInstanceOf(Error)
        expect(places(await received()).toSorted()).toEqual(['a#1', 'b#1'])
      },
    },
    {
      id: 'failures.stops-its-aggregate',
      promise: 'what follows a refused entry of its aggregate is not sent',
      needs: ['refuses'],
      async run({ entry, publish, received, refuse }) {
        await refuse('poison')
        const batch = [1, 2, 3].flatMap((sequence) => [entry('a', sequence), entry('poison', sequence)])
        const outcomes = statuses(await publish(batch))
        expect(outcomes.filter((_, index) => index % 2 === 0)).toEqual(['published', 'published', 'published'])
        expect(outcomes.filter((_, index) => index % 2 === 1).slice(1)).toEqual(['notSent', 'notSent'])
        expectReceived(await received(), [entry('a', 1), entry('a', 2), entry('a', 3)])
      },
    },
    {
      id: 'failures.another-try',
      promise: 'a refused entry leaves no mark: once the broker takes it, it arrives, and is no duplicate',
      needs: ['refuses'],
      async run({ entry, publish, received, refuse }) {
        const end = await refuse('a')
        const first = entry('a', 1)
        expect(statuses(await publish([first]))).toEqual([expect.stringMatching(/^(?:retry|reject|unavailable)$/)])
        await end()
        expect(await publish([first])).toEqual([{ status: 'published' }])
        expect(places(await received())).toEqual(['a#1'])
      },
    },
    {
      id: 'failures.too-large',
      promise: 'a payload over the limit is rejected for ever, without keeping others from being published',
      keeps: 'limits',
      needs: ['limitsPayload'],
      async run({ publisher, entry, publish, received }) {
        const limit = publisher.capabilities.maxPayloadBytes ?? Number.NaN
        expect(limit).toBeGreaterThan(0)
        const payload = JSON.stringify('x'.repeat(limit - 1))
        const outcomes = await publish([entry('a', 1), entry('large', 1, { payload }), entry('b', 1)])
        expect(statuses(outcomes)).toEqual(['published', 'reject', 'published'])
        expect(places(await received()).toSorted()).toEqual(['a#1', 'b#1'])
      },
    },
    {
      id: 'failures.as-large-as-allowed',
      promise: 'a payload of exactly the limit is published',
      keeps: 'limits',
      needs: ['limitsPayload'],
      async run({ publisher, entry, publish, received }) {
        const limit = publisher.capabilities.maxPayloadBytes ?? Number.NaN
        const payload = JSON.stringify('x'.repeat(Math.min(limit, 16 * 1024 * 1024) - 2))
        expect(await publish([entry('a', 1, { payload })])).toEqual([{ status: 'published' }])
        expect((await received())[0]?.payloadText === payload).toBe(true)
      },
    },
  ],
}
