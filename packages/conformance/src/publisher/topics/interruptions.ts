import { setTimeout } from 'node:timers/promises'
import type { DueEntry, Publisher } from '@outbox/core'
import { expect } from 'vitest'
import { places } from '../../places.ts'
import { expectReceived, type PublisherContext, type PublisherTopic, statuses } from '../context.ts'

/** The caller's abort, a silent broker, and a broker that is away. */
export const interruptions: PublisherTopic = {
  name: 'interruptions',
  keeps: 'failure',
  checks: [
    {
      id: 'interruptions.aborted-before',
      promise: 'a signal that is aborted already: nothing is sent, and every outcome says so',
      keeps: 'cancellation',
      async run({ entry, publish, received }) {
        const outcomes = await publish([entry('a', 1), entry('a', 2), entry('b', 1)], { signal: AbortSignal.abort() })
        expect(statuses(outcomes)).toEqual(['notSent', 'notSent', 'notSent'])
        expect(await received()).toEqual([])
      },
    },
    {
      id: 'interruptions.aborted-meanwhile',
      promise:
        'after an abort in the middle, what is called published has arrived, and what is called not sent has not',
      keeps: 'cancellation',
      async run({ entry, publish, received }) {
        // at once, and then later and later, until something was sent before the abort
        for (let round = 0, wasSent = false; !wasSent; round++) {
          const entries = Array.from({ length: 300 }, (_, n) => entry(`a-${n}`, round + 1))
          const controller = new AbortController()
          const publishing = publish(entries, { signal: controller.signal })
          if (round > 0) await setTimeout(2 ** (round - 1))
          controller.abort()
          const outcomes = statuses(await publishing)
          for (const status of outcomes) expect(['published', 'unknown', 'notSent']).toContain(status)
          // a later batch: when it has arrived, whatever was under way before it has too
          expect(await publish([entry('after', round + 1)])).toEqual([{ status: 'published' }])
          const arrived = new Set((await received()).map(({ id }) => id))
          for (const [index, { id }] of entries.entries()) {
            const status = outcomes[index]
            if (status === 'published') expect(arrived.has(id), `entry ${index} is called published`).toBe(true)
            if (status === 'notSent') expect(arrived.has(id), `entry ${index} is called not sent`).toBe(false)
          }
          wasSent = outcomes.some((status) => status !== 'notSent')
        }
      },
    },
    {
      id: 'interruptions.aborted-after',
      promise: 'a signal that aborts after the call has ended changes nothing',
      keeps: 'cancellation',
      async run({ entry, publish, received }) {
        const controller = new AbortController()
        const outcomes = await publish([entry('a', 1)], { signal: controller.signal })
        controller.abort()
        expect(outcomes).toEqual([{ status: 'published' }])
        expect(await publish([entry('a', 2)])).toEqual([{ status: 'published' }])
        expect(places(await received())).toEqual(['a#1', 'a#2'])
      },
    },
    {
      id: 'interruptions.silent-broker',
      promise: 'when the broker is silent, an abort ends the call soon: what was sent is unknown, the rest not sent',
      keeps: 'cancellation',
      needs: ['silence'],
      async run({ entry, publish, received, fault }) {
        expect(await publish([entry('a', 1)])).toEqual([{ status: 'published' }])
        const end = await fault('silence')
        const entries = [entry('a', 2), entry('a', 3), entry('b', 1)]
        const outcomes = await publishIntoSilence(publish, entries)
        await end()
        const arrived = new Set((await received()).map(({ id }) => id))
        entries.forEach(({ id }, index) => {
          if (outcomes[index] === 'notSent') expect(arrived.has(id), `entry ${index} is called not sent`).toBe(false)
        })
      },
    },
    {
      id: 'interruptions.silent-then-back',
      promise: 'what was unknown is published again when the broker answers, in order, and once where it deduplicates',
      needs: ['silence', 'deduplicates'],
      async run({ entry, publish, received, fault }) {
        const first = entry('a', 1)
        expect(await publish([first])).toEqual([{ status: 'published' }])
        const entries = [entry('a', 2), entry('a', 3), entry('b', 1)]
        const end = await fault('silence')
        await publishIntoSilence(publish, entries)
        await end()
        for (const each of entries) await untilPublished(() => publish([each]))
        expectReceived(await received(), [first, ...entries])
      },
    },
    {
      id: 'interruptions.away',
      promise: 'when the broker is away, nobody is to blame: the outcome is unavailable, or unknown if it was sent',
      needs: ['outage'],
      async run({ entry, publish, fault }) {
        expect(await publish([entry('a', 1)])).toEqual([{ status: 'published' }])
        await fault('outage')
        const outcomes = statuses(await publish([entry('a', 2), entry('b', 1)]))
        for (const status of outcomes) expect(['unavailable', 'unknown']).toContain(status)
        expect(statuses(await publish([entry('a', 2), entry('b', 1)]))).toEqual(['unavailable', 'unavailable'])
      },
    },
    {
      id: 'interruptions.probe',
      promise: 'the probe passes when the broker answers, and changes nothing there',
      needs: ['probes'],
      async run({ publisher, received }) {
        await probe(publisher)
        expect(await received()).toEqual([])
      },
    },
    {
      id: 'interruptions.probe-while-away',
      promise: 'the probe fails while the broker is away, and passes when it is back',
      needs: ['probes', 'outage'],
      async run({ publisher, fault }) {
        const end = await fault('outage')
        const probed = probe(publisher, AbortSignal.timeout(5000))
        await expect(probed, 'a probe of a broker that is away').rejects.toBeDefined()
        await end()
        await untilAnswered(() => probe(publisher))
      },
    },
    {
      id: 'interruptions.nothing-behind-our-back',
      promise: 'what was called unavailable never arrives by itself when the broker is back',
      needs: ['outage'],
      async run({ entry, publish, received, fault }) {
        const end = await fault('outage')
        const entries = [entry('a', 1), entry('b', 1)]
        await publish(entries)
        const outcomes = statuses(await publish(entries))
        expect(outcomes).toEqual(['unavailable', 'unavailable'])
        await end()
        await untilPublished(() => publish([entry('after', 1)]))
        expect(places(await received())).toEqual(['after#1'])
        for (const each of entries) await untilPublished(() => publish([each]))
        expect(places(await received()).toSorted()).toEqual(['a#1', 'after#1', 'b#1'])
      },
    },
  ],
}

type Statuses = readonly { readonly status: string }[]

/**
 * Publishes and aborts, with more patience each time, until something was sent: the outcomes of that time. Before, all
 * was `notSent`. Shows that each call ends soon after its abort.
 */
async function publishIntoSilence(
  publish: PublisherContext['publish'],
  entries: readonly DueEntry[],
): Promise<readonly string[]> {
  for (let patienceMs = 20; ; patienceMs *= 2) {
    const controller = new AbortController()
    const publishing = publish(entries, { signal: controller.signal })
    await setTimeout(patienceMs)
    const abortedAt = performance.now()
    controller.abort()
    const outcomes = statuses(await publishing)
    expect(performance.now() - abortedAt, 'milliseconds from the abort to the end of the call').toBeLessThan(5000)
    for (const status of outcomes) expect(['unknown', 'notSent']).toContain(status)
    if (outcomes.includes('unknown')) return outcomes
  }
}

/** Publishes again while the client finds its broker again; the check's time-out ends it. */
async function untilPublished(publish: () => Promise<Statuses>): Promise<void> {
  for (;;) {
    const outcomes = await publish()
    if (outcomes.every(({ status }) => status === 'published')) return
    await setTimeout(20)
  }
}

async function untilAnswered(attempt: () => Promise<void>): Promise<void> {
  for (;;) {
    const [answer] = await Promise.allSettled([attempt()])
    if (answer.status === 'fulfilled') return
    await setTimeout(20)
  }
}

async function probe(publisher: Publisher, signal?: AbortSignal): Promise<void> {
  if (!publisher.probe) throw new Error('The harness declares the capability, and the publisher has no probe().')
  await publisher.probe(signal ? { signal } : {})
}
