import { setTimeout } from 'node:timers/promises'
import type { DueEntry, PublishOutcome } from '@outbox/core'
import { recordingPublisher } from '../../src/index.ts'
import { answering, type PublisherSaboteur, sending } from './changed-publisher.ts'

/** Publishers that are right until something fails. */
export const failureSaboteurs: readonly PublisherSaboteur[] = [
  {
    breaks: 'the id is remembered before the broker has taken the message',
    sabotage: (publisher) => {
      const seen = new Set<string>()
      return {
        publish: async (entries, options) => {
          const fresh = entries.filter(({ deduplicationId }) => !seen.has(deduplicationId))
          for (const { deduplicationId } of entries) seen.add(deduplicationId)
          const outcomes = await publisher.publish(fresh, options)
          return entries.map((entry) => outcomes[fresh.indexOf(entry)] ?? { status: 'published', duplicate: true })
        },
      }
    },
    caughtBy: ['failures.another-try', 'interruptions.nothing-behind-our-back', 'interruptions.silent-then-back'],
  },
  {
    breaks: 'one failure fails the batch',
    sabotage: (publisher) =>
      answering(publisher, (outcomes) =>
        outcomes.every(({ status }) => status === 'published')
          ? outcomes
          : outcomes.map(() => ({ status: 'retry', error: new Error('the batch failed') })),
      ),
    caughtBy: ['failures.one-aggregate', 'failures.too-large', 'failures.stops-its-aggregate'],
  },
  {
    breaks: 'an aggregate goes on behind its failure',
    sabotage: (publisher) => ({
      publish: async (entries, options) => {
        const outcomes: PublishOutcome[] = []
        for (const entry of entries) outcomes.push(...(await publisher.publish([entry], options)))
        return outcomes
      },
    }),
    caughtBy: ['failures.stops-its-aggregate', 'fencing.late-write'],
  },
  {
    breaks: 'what was not sent after a refusal is called unknown',
    sabotage: (publisher) =>
      answering(publisher, (outcomes) =>
        outcomes.map((each) =>
          each.status === 'notSent' ? { status: 'unknown', error: new Error('who knows') } : each,
        ),
      ),
    caughtBy: ['failures.stops-its-aggregate', 'interruptions.aborted-before'],
  },
  {
    breaks: 'what is too large is tried again for ever',
    sabotage: (publisher) =>
      answering(publisher, (outcomes) =>
        outcomes.map((each) => (each.status === 'reject' ? { status: 'retry', error: each.error } : each)),
      ),
    caughtBy: ['failures.too-large'],
  },
  {
    breaks: 'it says that it takes one byte more than it does',
    sabotage: ({ capabilities }) => ({
      capabilities: { ...capabilities, maxPayloadBytes: (capabilities.maxPayloadBytes ?? 0) + 1 },
    }),
    caughtBy: ['failures.as-large-as-allowed'],
  },
  {
    breaks: 'nobody is fenced',
    sabotage: (publisher) =>
      sending(publisher, (entries) => entries.map((entry) => ({ ...entry, source: crypto.randomUUID() }))),
    caughtBy: [
      'fencing.late-write',
      'fencing.after-a-restart',
      'fencing.whole-partition',
      'fencing.same-epoch-other-holder',
    ],
  },
  {
    breaks: 'epoch 0, of relays of a store without leases, is fenced as any other',
    sabotage: (publisher) =>
      sending(publisher, (entries) =>
        entries.map((entry) => ({ ...entry, lease: { ...entry.lease, epoch: entry.lease.epoch + 1 } })),
      ),
    caughtBy: ['fencing.no-leases'],
  },
  {
    breaks: 'who is fenced is told its own epoch',
    sabotage: (publisher) => ({
      publish: async (entries, options) =>
        (await publisher.publish(entries, options)).map((each, index) =>
          each.status === 'fenced' ? { ...each, epoch: entries[index]?.lease.epoch ?? 0 } : each,
        ),
    }),
    caughtBy: ['fencing.newest-epoch'],
  },
  {
    breaks: 'a late repeat of an older owner arrives',
    sabotage: (publisher) =>
      sending(publisher, (entries) =>
        entries.map((entry) => ({ ...entry, source: crypto.randomUUID(), deduplicationId: crypto.randomUUID() })),
      ),
    caughtBy: ['fencing.before-deduplication'],
  },
  {
    breaks: 'epochs are compared over all partitions and outboxes, and only a small step is believed',
    sabotage: () => {
      let highest = 0
      const inner = recordingPublisher()
      return {
        publish: async (entries, options) => {
          const outcomes: PublishOutcome[] = []
          for (const entry of entries) {
            const { epoch } = entry.lease
            if (epoch < highest || epoch > highest + 100) outcomes.push({ status: 'fenced', epoch: highest })
            else outcomes.push(...(await inner.publish([entry], options)))
            highest = Math.max(highest, epoch)
          }
          return outcomes
        },
      }
    },
    caughtBy: ['fencing.own-partition-only', 'fencing.other-outbox', 'fencing.newer-owner'],
  },
  {
    breaks: 'signals are ignored',
    hangs: ['interruptions.silent-broker', 'interruptions.silent-then-back'],
    sabotage: (publisher) => ({
      publish: (entries) => publisher.publish(entries, { signal: new AbortController().signal }),
    }),
    caughtBy: ['interruptions.aborted-before', 'interruptions.silent-broker', 'interruptions.silent-then-back'],
  },
  {
    breaks: 'after an abort everything is called not sent',
    sabotage: (publisher) => ({
      publish: async (entries, options) => {
        const outcomes = await publisher.publish(entries, { signal: new AbortController().signal })
        return options.signal.aborted ? entries.map(() => ({ status: 'notSent' })) : outcomes
      },
    }),
    caughtBy: ['interruptions.aborted-meanwhile'],
  },
  {
    breaks: 'what was on its way to the broker when the signal aborted is called not sent',
    sabotage: (publisher) => ({
      publish: async (entries, options) => {
        const notSent = (): readonly PublishOutcome[] => entries.map(() => ({ status: 'notSent' }))
        await setTimeout(1)
        if (options.signal.aborted) return notSent()
        const outcomes = await publisher.publish(entries, options)
        await setTimeout(20)
        return options.signal.aborted ? notSent() : outcomes
      },
    }),
    caughtBy: ['interruptions.aborted-meanwhile'],
  },
  {
    breaks: 'an abort ends the publisher for good',
    sabotage: (publisher) => {
      let isOver = false
      return {
        publish: (entries, options) => {
          options.signal.addEventListener('abort', () => {
            isOver = true
          })
          return isOver ? Promise.reject(new Error('closed')) : publisher.publish(entries, options)
        },
      }
    },
    caughtBy: ['interruptions.aborted-after'],
  },
  {
    breaks: "an outage is the entry's fault",
    sabotage: (publisher) =>
      answering(publisher, (outcomes) =>
        outcomes.map((each) => (each.status === 'unavailable' ? { status: 'retry', error: each.error } : each)),
      ),
    caughtBy: ['interruptions.away', 'interruptions.nothing-behind-our-back'],
  },
  {
    breaks: 'what could not be sent is buffered and sent later',
    sabotage: (publisher, isAway) => {
      let buffer: DueEntry[] = []
      return {
        publish: async (entries, options) => {
          if (isAway()) buffer = [...buffer, ...entries]
          else await publisher.publish(buffer.splice(0), options)
          return publisher.publish(entries, options)
        },
      }
    },
    caughtBy: ['interruptions.nothing-behind-our-back'],
  },
  {
    breaks: 'its probe always passes',
    sabotage: () => ({ probe: async () => undefined }),
    caughtBy: ['interruptions.probe-while-away'],
  },
  {
    breaks: 'its probe leaves a message',
    sabotage: (publisher) => ({
      probe: async () => {
        const { signal } = new AbortController()
        await publisher.publish([{ ...probeEntry, id: crypto.randomUUID() }], { signal })
      },
    }),
    caughtBy: ['interruptions.probe'],
  },
]

const probeEntry: DueEntry = {
  id: '',
  eventType: 'probe.sent',
  aggregateType: 'probe',
  aggregateId: 'probe',
  sequence: 1,
  occurredAt: new Date(0),
  payload: '{}',
  headers: {},
  lease: { partition: 0, epoch: 0, holder: 'probe' },
  source: 'probe',
  attempt: 1,
  crashes: 0,
  deduplicationId: 'probe',
  isLate: false,
}
